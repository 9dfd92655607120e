"""Many at once, and the same person twice."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stack import Stack, eventually, running_stack, write_catalog


async def start_all(stack: Stack, users: list[str], **options: str) -> list[httpx.Response]:
    """POST /server for all users at the same moment."""
    async with httpx.AsyncClient(
        headers={"Authorization": f"token {stack.token}"}, timeout=120, limits=httpx.Limits(max_connections=300)
    ) as client:
        return await asyncio.gather(
            *(client.post(f"{stack.url}/hub/api/users/{user}/server", json=options) for user in users)
        )


async def test_two_starts_of_one_person_are_one_instance(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("double")
    codes = [answer.status_code for answer in await start_all(stack, ["double"] * 5)]
    assert codes.count(201) >= 1
    assert set(codes) <= {201, 202, 400}
    eventually(lambda: stack.api("GET", "/users/double").json()["servers"].get("", {}).get("ready"))
    assert len([loan for loan in stack.unended() if loan.user_name == "double"]) == 1
    stack.stop("double")


def test_stop_during_start_leaves_nothing(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("hasty")
    for _ in range(3):
        starting = threading.Thread(target=lambda: stack.start("hasty", flavor="cpu-large"))
        starting.start()
        eventually(lambda: [loan for loan in stack.unended() if loan.user_name == "hasty"], what="the row")
        assert stack.stop("hasty").status_code in (202, 204)
        starting.join()
        eventually(
            lambda: not [loan for loan in stack.unended() if loan.user_name == "hasty"], what="the end of the loan"
        )
    eventually(lambda: stack.slot_folders() == {slot.id for slot in stack.slots()}, what="order")
    assert stack.start("hasty").status_code == 201
    stack.stop("hasty")


def test_stopping_twice_is_fine(shared_stack: Stack) -> None:
    shared_stack.add_user("twice")
    shared_stack.start("twice")
    assert shared_stack.stop("twice").status_code == 204
    assert shared_stack.stop("twice").status_code in (202, 204)


@pytest.mark.timeout(400)
async def test_two_hundred_at_once_get_an_instance_or_a_sentence(state: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["flavors"] = [flavor for flavor in data["flavors"] if flavor["id"] == "cpu-basic"]
        data["flavors"][0] |= {"limit": 8, "warm": 2, "reserve": "256MiB"}

    with running_stack(state / "s", catalog=write_catalog(state / "catalog.yaml", change)) as stack:
        users = [f"crowd{number}" for number in range(200)]
        stack.api("POST", "/users", json={"usernames": users})
        answers = await start_all(stack, users)
        assert not (odd := [answer for answer in answers if answer.status_code not in (201, 202, 503)]), [
            (answer.status_code, answer.text, answer.headers) for answer in odd
        ]
        eventually(
            lambda: all(loan.state == "running" for loan in stack.unended()), seconds=120, what="the end of all starts"
        )
        running = stack.unended()
        assert len(running) == 8
        assert len({loan.slot_id for loan in running}) == 8
        lent = {loan.user_name for loan in running}
        eventually(  # the hub looks at each once more after the ledger has it
            lambda: {user["name"] for user in stack.api("GET", "/users?state=ready").json()} == lent,
            seconds=60,
            what="the hub's word for the same",
        )
        for loan in running:
            assert stack.stop(loan.user_name).status_code in (202, 204)
        eventually(lambda: not stack.unended(), what="the end")
        eventually(lambda: stack.slot_folders() == {slot.id for slot in stack.slots()}, what="order")
