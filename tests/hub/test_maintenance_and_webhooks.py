"""A pool of one: who is told of the turn, who does not come, and what maintenance ends."""

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

from spawner.ledger import EndReason, TicketState
from spawner.ledger.channels import channels
from spawner.ledger.pool import tickets
from spawner.ledger.time import notices
from spawner.ledger.time.rows import NoticeKind
from spawner.pool.build import utc_now
from tests.channels.servers import MailBox, channels_by, link_in, mail_server
from tests.hub.queue_users import FLAVOR, history, lean_pool_of, people, wait_for_order
from tests.stack import Stack, eventually, running_stack, write_catalog

REAL = "jupyterlab"
"""The image with a real notebook."""


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


def pool_of_one(data: dict[str, Any]) -> None:
    """Its notebooks are lean, but for those with the image `REAL`."""
    lean_pool_of(1, hold_seconds=10)(data)
    data["images"].append(data["images"][0] | {"id": REAL, "environment": "light"})


@pytest.fixture(scope="module")
def queue(lean: Path) -> Iterator[QueueStack]:
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        with webhook() as (url, heard), mail_server() as box:
            settings = yaml.safe_load(lean.read_text()) | {"notify_url": url, "channels": channels_by(box)}
            settings["catalog"] = str(write_catalog(folder / "catalog.yaml", pool_of_one))
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


@pytest.mark.timeout(400)
def test_an_uncollected_instance_goes_to_the_next_user_and_an_opened_one_stays(queue: QueueStack) -> None:
    """With JupyterLab: the activity that it reports by itself after its start is no visit."""
    stack = queue.stack
    ann, absent, present, last = people(stack, "ann", "absent", "present", "last")
    assert ann.ask().status_code in (201, 202)
    ann.wait_running()
    for person, options in ((absent, {"image": REAL}), (present, {"image": REAL}), (last, {})):
        assert person.ask(**options).status_code == 202
    ann.stop()
    absent.wait_running()
    present.wait_running(90)
    visit, headers = f"{stack.url}/user/present/api/contents", {"Authorization": f"token {present.token}"}
    # At once, and never again. The hub's route comes a moment after the row.
    eventually(lambda: stack.http.get(visit, headers=headers, timeout=20).status_code == 200, what="an answer")
    started = {instance.user_name: instance for instance in history(stack)}
    assert started["absent"].reason is EndReason.NOT_COLLECTED

    def has_come() -> bool:
        served = stack.ledger.read(tickets.of_instance, started["present"].id)
        return served is not None and served.collected_at is not None

    eventually(has_come, seconds=60, what="the steward's look at who has come")
    assert present.runs, "whoever has come keeps it"
    assert last.place == 1
    present.stop()
    last.wait_running()
    names = ["ann", "absent", "present", "last"]
    everything = stack.ledger.read(tickets.since, started["ann"].requested_at - timedelta(hours=1))
    served = [ticket.user_name for ticket in everything if ticket.state is TicketState.SERVED]
    assert [name for name in served if name in names] == names
    last.stop()
    wait_for_order(stack)


def test_maintenance_refuses_starts_and_ends_instances_at_its_time(queue: QueueStack) -> None:
    stack = queue.stack
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
    (instance,) = (one for one in history(stack) if one.user_name == "inside")
    assert (instance.reason, instance.ended_at is not None and instance.ended_at >= closes) == (
        EndReason.MAINTENANCE,
        True,
    )
    said = stack.ledger.read(notices.of_instance, instance.id)
    assert [(one.kind, one.due_at) for one in said] == [(NoticeKind.MAINTENANCE, closes)], "it was announced at once"
    assert waits.place == 1, "who waits keeps the place"
    last = stack.desk("GET", "api/state", token=inside.token).json()["last"]
    assert last["text"].startswith("Your notebook was stopped for maintenance.")

    command(stack, "drain/end")
    waits.wait_running()
    waits.stop()
    wait_for_order(stack)
