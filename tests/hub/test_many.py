"""Many starts at once, and several starts of one user."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from spawner.ledger import Ticket
from spawner.ledger.pool import tickets
from spawner.refusals import REFUSAL_HEADER
from tests.hub.queue_users import alive, history, lean_pool_of
from tests.stack import Stack, eventually, running_stack, write_catalog


async def start_all(stack: Stack, users: list[str], **options: str) -> list[httpx.Response]:
    """POST /server for all users at once."""
    async with httpx.AsyncClient(
        headers={"Authorization": f"token {stack.token}"}, timeout=120, limits=httpx.Limits(max_connections=300)
    ) as client:
        return await asyncio.gather(
            *(client.post(f"{stack.url}/hub/api/users/{user}/server", json=options) for user in users)
        )


async def test_simultaneous_starts_of_one_user_give_one_instance(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("double")
    codes = [answer.status_code for answer in await start_all(stack, ["double"] * 5)]
    assert codes.count(201) >= 1
    assert set(codes) <= {201, 202, 400}
    eventually(lambda: stack.api("GET", "/users/double").json()["servers"].get("", {}).get("ready"))
    assert len([instance for instance in stack.unended() if instance.user_name == "double"]) == 1
    stack.stop("double")


def test_a_stop_during_a_start_leaves_nothing(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("hasty")
    for _ in range(3):
        starting = threading.Thread(target=lambda: stack.start("hasty", flavor="cpu-large"))
        starting.start()
        eventually(lambda: [instance for instance in stack.unended() if instance.user_name == "hasty"], what="the row")
        assert stack.stop("hasty").status_code in (202, 204)
        starting.join()
        eventually(
            lambda: not [instance for instance in stack.unended() if instance.user_name == "hasty"],
            what="the end of the instance",
        )
    eventually(lambda: stack.slot_folders() == {slot.id for slot in stack.slots()}, what="order")
    stack.run("hasty")
    stack.stop("hasty")


def test_a_second_stop_is_no_error(shared_stack: Stack) -> None:
    shared_stack.add_user("twice")
    shared_stack.run("twice")
    assert shared_stack.stop("twice").status_code in (202, 204)
    assert shared_stack.stop("twice").status_code in (202, 204)


@pytest.fixture(scope="module")
def crowded(lean: Path) -> Iterator[Stack]:
    """A pool of eight, of which two wait. A busy machine may take longer for a crowd than a hub may be silent."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        catalog = write_catalog(folder / "catalog.yaml", lean_pool_of(8, warm=2))
        settings = folder / "settings.yaml"
        settings.write_text(yaml.safe_dump(yaml.safe_load(lean.read_text()) | {"answer_seconds": 120}))
        with running_stack(folder / "s", catalog=catalog, settings=settings) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(400)
async def test_twenty_starts_at_once_are_served_in_queue_order(crowded: Stack) -> None:
    """Running instances are stopped at once; queued users do nothing."""
    stack = crowded
    users = [f"early{number}" for number in range(20)]
    stack.api("POST", "/users", json={"usernames": users})
    await start_all(stack, users)
    queued = [ticket.user_name for ticket in alive(stack) if ticket.state == "waiting"]
    assert len(queued) >= 20 - 8
    stopped: set[str] = set()
    deadline = time.monotonic() + 300
    while len(stopped) < len(users):
        assert time.monotonic() < deadline, f"{len(stopped)} of {len(users)} were served: {alive(stack)}"
        for instance in stack.unended():
            if instance.state == "running" and instance.user_name not in stopped:
                stack.api("DELETE", f"/users/{instance.user_name}/server")
                stopped.add(instance.user_name)
        await asyncio.sleep(0.1)
    eventually(lambda: not stack.unended(), seconds=60, what="the end of the last")
    assert not alive(stack)
    started = history(stack)
    assert sorted(instance.user_name for instance in started if instance.usable_at) == sorted(users), "each once"
    served = stack.ledger.read(tickets.since, started[0].requested_at.replace(year=2000))
    called = sorted(
        (ticket for ticket in served if ticket.user_name in queued),
        key=lambda ticket: ticket.called_at or ticket.joined_at,
    )
    assert [ticket.user_name for ticket in called] == queued


@pytest.mark.timeout(400)
async def test_two_hundred_starts_at_once_give_an_instance_or_a_ticket(crowded: Stack) -> None:
    """The last test of this pool: it leaves a queue."""
    stack = crowded
    users = [f"crowd{number}" for number in range(200)]
    stack.api("POST", "/users", json={"usernames": users})
    answers = await start_all(stack, users)
    for answer in answers:
        assert answer.status_code in (201, 202, 503), (answer.status_code, answer.text, answer.headers)
    placed = [json.loads(answer.headers[REFUSAL_HEADER]) for answer in answers if answer.status_code == 503]
    assert {refusal["code"] for refusal in placed} <= {"queued"}

    def waiting() -> list[Ticket]:
        return [ticket for ticket in alive(stack) if ticket.state == "waiting"]

    # A busy hub answers 202 before it has handled the start.
    eventually(lambda: len(waiting()) == len(users) - 8, seconds=60, what="everybody's place in line")
    queue = waiting()
    assert {refusal["facts"]["ticket"] for refusal in placed} <= {ticket.id for ticket in queue}

    def running() -> set[str]:
        return {instance.user_name for instance in stack.unended() if instance.state == "running"}

    eventually(lambda: len(running()) == 8, seconds=120, what="the first eight")
    eventually(  # the hub polls each server once more after the ledger has it
        lambda: {user["name"] for user in stack.api("GET", "/users?state=ready").json()} == running(),
        seconds=60,
        what="the hub's word for the same",
    )
    for user in running():
        assert stack.stop(user).status_code in (202, 204)
    following = {ticket.user_name for ticket in queue[:8]}
    eventually(lambda: running() == following, seconds=120, what="the next eight, in their turn")
    assert waiting() == queue[8:]
