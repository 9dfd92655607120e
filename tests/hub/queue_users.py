"""Users in the queue of a small pool, and what the API shows each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from spawner.ledger import Instance, SlotState, Ticket, TicketState
from spawner.ledger.pool import instances, tickets
from tests.lean import with_lean
from tests.stack import Stack, eventually

FLAVOR = "cpu-basic"
Change = Callable[[dict[str, Any]], None]


def pool_of(limit: int, *, hold_seconds: int = 600, **flavor: Any) -> Change:
    """A catalog change: one flavor with this limit and no warm slots."""

    def change(data: dict[str, Any]) -> None:
        data["flavors"] = [flavor for flavor in data["flavors"] if flavor["id"] == FLAVOR]
        data["flavors"][0] |= {"limit": limit, "warm": 0, "reserve": "256MiB"} | flavor
        data["queue"] = {"hold_seconds": hold_seconds, "use_counts": 0}

    return change


def lean_pool_of(limit: int, **more: Any) -> Change:
    """`pool_of` with lean notebooks (`tests/lean.py`). The stack needs the settings of the fixture `lean`."""
    small = pool_of(limit, **more)

    def change(data: dict[str, Any]) -> None:
        small(data)
        with_lean(data)

    return change


@dataclass(frozen=True)
class Person:
    """A user with an API token."""

    stack: Stack
    name: str
    token: str

    def ask(self, **options: str) -> httpx.Response:
        """Request an instance at the desk."""
        return self.stack.desk("POST", "api/instance", token=self.token, json=options)

    def leave(self) -> httpx.Response:
        return self.stack.desk("POST", "api/ticket/cancel", token=self.token)

    def stop(self) -> httpx.Response:
        return self.stack.desk("POST", "api/instance/stop", token=self.token)

    def restart(self) -> httpx.Response:
        return self.stack.desk("POST", "api/instance/restart", token=self.token)

    def take(self) -> httpx.Response:
        return self.stack.desk("POST", "api/ticket/take", token=self.token)

    @property
    def ticket(self) -> dict[str, Any] | None:
        """The live ticket as `GET api/ticket` returns it."""
        answer = self.stack.desk("GET", "api/ticket", token=self.token)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] | None = answer.json()["ticket"]
        return found

    @property
    def place(self) -> int | None:
        ticket = self.ticket
        return ticket["place"] if ticket else None

    @property
    def instance(self) -> Instance | None:
        return next((instance for instance in self.stack.unended() if instance.user_name == self.name), None)

    @property
    def runs(self) -> bool:
        instance = self.instance
        return instance is not None and instance.state == "running"

    def wait_running(self, seconds: float = 60) -> None:
        eventually(lambda: self.runs, seconds=seconds, what=f"{self.name}'s instance")


def people(stack: Stack, *names: str) -> list[Person]:
    """Create users in the hub."""
    assert stack.api("POST", "/users", json={"usernames": list(names)}).status_code == 201
    return [Person(stack, name, stack.user_token(name)) for name in names]


def alive(stack: Stack) -> list[Ticket]:
    """Tickets that are waiting or called."""
    return stack.ledger.read(tickets.alive)


def history(stack: Stack) -> list[Instance]:
    """All instances, the oldest first."""
    return stack.ledger.read(instances.history)


def wait_for_order(stack: Stack, *, seconds: float = 40) -> None:
    """Wait until ledger, pool and hub agree and no slot is held for a called ticket."""

    def in_order() -> bool:
        slots, unended, queue = stack.slots(), stack.unended(), alive(stack)
        servers = {user["name"] for user in stack.api("GET", "/users?state=ready").json()}
        return (
            all(instance.state == "running" for instance in unended)
            and servers == {instance.user_name for instance in unended}
            and {slot.holder_id for slot in slots} == {instance.id for instance in unended}
            and all(slot.state is SlotState.CLAIMED for slot in slots)
            and stack.slot_folders() == {slot.id for slot in slots}
            and not any(ticket.state is TicketState.CALLED for ticket in queue)
        )

    eventually(in_order, seconds=seconds, what="order")
