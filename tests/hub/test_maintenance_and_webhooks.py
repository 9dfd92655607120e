"""Administrators' commands apply to all users, and webhooks report called tickets."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from spawner.ledger import EndReason
from spawner.ledger.channels import channels
from spawner.ledger.time import notices
from spawner.ledger.time.rows import NoticeKind
from spawner.pool.build import utc_now
from tests.channels.servers import MailBox, channels_by, link_in, mail_server
from tests.hub.queue_users import FLAVOR, history, lean_pool_of, people, wait_for_order
from tests.stack import Stack, eventually, running_stack, write_catalog


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yields a URL that refuses the first notification and accepts all others, and the notifications received."""
    heard: list[dict[str, Any]] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(503 if len(heard) == 1 else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", heard
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class QueueStack:
    """A pool of one, with the administrator's webhook and a mail server."""

    stack: Stack
    heard: list[dict[str, Any]]
    box: MailBox


@pytest.fixture(scope="module")
def queue(lean: Path) -> Iterator[QueueStack]:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        with webhook() as (url, heard), mail_server() as box:
            settings = yaml.safe_load(lean.read_text()) | {"notify_url": url, "channels": channels_by(box)}
            settings["catalog"] = str(write_catalog(folder / "catalog.yaml", lean_pool_of(1)))
            (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
            with running_stack(folder / "s", settings=folder / "settings.yaml") as stack:
                yield QueueStack(stack, heard, box)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_webhook_accepts_one_notification_for_each_queued_user(queue: QueueStack) -> None:
    stack, heard = queue.stack, queue.heard
    first, second = people(stack, "first", "second")
    assert first.ask().status_code in (201, 202)
    first.wait_running()
    assert second.ask().status_code == 202
    assert second.place == 1
    first.stop()
    second.wait_running()
    eventually(lambda: len(heard) == 2, what="the news, told again because the hook was busy")
    assert heard[0] == heard[1]
    assert {**heard[1], "ticket": "", "hold_until": ""} == {
        "event": "ready",
        "user": "second",
        "server": "",
        "flavor": FLAVOR,
        "image": "light",
        "ticket": "",
        "hold_until": "",
        "url": f"{stack.url}/services/desk/",
    }
    second.stop()
    wait_for_order(stack)
    assert len(heard) == 2, "who never waited needs no telling"


def test_who_waits_without_a_page_gets_a_mail_when_the_turn_comes(queue: QueueStack) -> None:
    stack, box = queue.stack, queue.box
    here, away = people(stack, "here", "away")
    address = "away@example.org"
    entered = stack.desk(
        "POST",
        "channel/enter",
        token=away.token,
        data={"kind": "email", "address": address, "event_your_turn": "on", "event_ended": "on"},
        headers={"Accept-Language": "zh-CN"},
    )
    assert (entered.status_code, entered.headers["Location"]) == (303, "/services/desk/channel?done=asked")
    link = link_in(box.wait_for(address), "channel/confirm")
    scanned = stack.http.get(link)
    assert scanned.status_code == 200, "a program that looks for malware opens each link"
    assert "away@example.org" in scanned.text
    query = dict(parse_qsl(urlsplit(link).query))
    assert stack.http.post(f"{stack.url}/services/desk/channel/confirm", data=query).status_code == 200
    assert stack.http.get(link).status_code == 404, "a link is good once"

    assert here.ask().status_code in (201, 202)
    here.wait_running()
    assert away.ask().status_code == 202
    here.stop()
    told = box.wait_for(address, 2)
    assert "轮到你了" in told["Subject"]
    assert f"{stack.url}/services/desk/" in told.get_content()
    away.wait_running()
    assert box.to("here@example.org") == []

    # One click in a mail program: a POST without cookies, with the body that RFC 8058 says.
    unsubscribe = told["List-Unsubscribe"].strip("<>")
    assert stack.http.get(unsubscribe).status_code == 200
    away.stop()
    wait_for_order(stack)
    assert stack.http.post(unsubscribe, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert stack.ledger.read(channels.of_person, stack.person_of("away")) == []
    assert len(box.to(address)) == 2, "an end that was asked for is not told"


def command(stack: Stack, path: str, **change: Any) -> None:
    """Send a command as this machine's administrator."""
    admin = next(user["name"] for user in stack.api("GET", "/users").json() if user["admin"])
    answer = stack.desk("POST", f"api/admin/{path}", token=stack.user_token(admin), json=change)
    assert answer.status_code == 200, answer.text


def test_maintenance_refuses_starts_and_ends_instances_at_its_time(state: Path, lean: Path) -> None:
    catalog = write_catalog(state / "catalog.yaml", lean_pool_of(1))
    with running_stack(state / "s", catalog=catalog, settings=lean) as stack:
        inside, waits, late = people(stack, "inside", "waits", "late")
        assert inside.ask().status_code in (201, 202)
        inside.wait_running()
        assert waits.ask().status_code == 202
        closes = utc_now() + timedelta(seconds=6)
        command(stack, "drain", at=closes.isoformat(), reason="New disks.")

        seen = stack.desk("GET", "api/state", token=inside.token).json()
        assert seen["pool"]["maintenance"]["reason"] == "New disks."
        assert seen["instance"]["ends_at"] == seen["pool"]["maintenance"]["at"]
        refused = late.ask()
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "maintenance"
        assert stack.start("late").status_code == 503

        eventually(lambda: not inside.instance, seconds=30, what="the end of what ran")
        (instance,) = history(stack)
        assert (instance.reason, instance.ended_at is not None and instance.ended_at >= closes) == (
            EndReason.MAINTENANCE,
            True,
        )
        said = stack.ledger.read(notices.of_instance, instance.id)
        assert [(one.kind, one.due_at) for one in said] == [(NoticeKind.MAINTENANCE, closes)], (
            "it was announced at once"
        )
        assert waits.place == 1, "who waits keeps the place"
        last = stack.desk("GET", "api/state", token=inside.token).json()["last"]
        assert last["text"].startswith("Your notebook was stopped for maintenance.")

        command(stack, "drain/end")
        waits.wait_running()
        waits.stop()
        wait_for_order(stack)
