"""Administrators' commands apply to all users, and webhooks report called tickets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from spawner.ledger import EndReason
from spawner.ledger.time import notices
from spawner.ledger.time.rows import NoticeKind
from spawner.pool.build import utc_now
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


def test_a_webhook_accepts_one_notification_for_each_queued_user(state: Path, lean: Path) -> None:
    with webhook() as (url, heard):
        settings = yaml.safe_load(lean.read_text())
        settings["catalog"] = str(write_catalog(state / "catalog.yaml", lean_pool_of(1)))
        (state / "settings.yaml").write_text(yaml.safe_dump(settings | {"notify_url": url}))
        with running_stack(state / "s", settings=state / "settings.yaml") as stack:
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
