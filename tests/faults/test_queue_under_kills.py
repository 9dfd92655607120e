"""Many queued users while steward, hub and desk are killed at random: each is served once, in queue order."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from spawner.ledger import Ledger, SlotState, Ticket, TicketState
from spawner.ledger.pool import instances, slots, tickets
from tests.hub.queue_users import Person, alive, history, lean_pool_of, people, wait_for_order
from tests.stack import Stack, eventually, running_stack, write_catalog

CROWD, SIZE = 15, 3
VICTIMS = ("hub", "steward", "desk")
KILLS = 10
SEED = 20260301
LOOK_SECONDS = 0.05


class Guest(threading.Thread):
    """A user who asks until queued or served, waits for the instance, uses it briefly and stops it.

    Half of the requests go to the desk, half to JupyterHub. The user reads the own state from the ledger, so that no
    request is repeated because a kill cut off its answer.
    """

    def __init__(self, person: Person, dice: random.Random) -> None:
        super().__init__(name=person.name, daemon=True)
        self.person, self.dice = person, dice
        self.is_served = threading.Event()

    def run(self) -> None:
        ledger = self.person.stack.ledger
        while not self._is_queued_or_has_instance(ledger):
            self._ask()
            time.sleep(self.dice.uniform(0.2, 0.6))
        while not self._has_running_instance(ledger):
            time.sleep(0.2)
        self.is_served.set()
        time.sleep(self.dice.uniform(0.2, 1))
        while self._is_queued_or_has_instance(ledger):
            self._go()
            time.sleep(0.5)

    def _is_queued_or_has_instance(self, ledger: Ledger) -> bool:
        return bool(ledger.read(tickets.alive, self.name) or ledger.read(instances.unended, self.name))

    def _has_running_instance(self, ledger: Ledger) -> bool:
        return any(instance.state == "running" for instance in ledger.read(instances.unended, self.name))

    def _ask(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            if self.dice.random() < 0.5:
                self.person.ask()
            else:
                self.person.stack.start(self.name)

    def _go(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            self.person.stack.api("DELETE", f"/users/{self.name}/server")


class Watcher(threading.Thread):
    """Polls the ledger: records when each ticket was first called, and violated invariants."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(daemon=True)
        self.stack = stack
        self.over = threading.Event()
        self.first_calls: dict[str, datetime] = {}
        self.wrong: list[str] = []

    def run(self) -> None:
        ledger = self.stack.ledger
        while not self.over.wait(LOOK_SECONDS):
            self._look(ledger)

    def _look(self, ledger: Ledger) -> None:
        queue, held = ledger.read(lambda connection: (tickets.alive(connection), slots.occupying(connection)))
        for ticket in queue:
            if ticket.called_at is not None:
                self.first_calls.setdefault(ticket.id, ticket.called_at)
        each = Counter(ticket.user_name for ticket in queue)
        if max(each.values(), default=0) > 1:
            self.wrong.append(f"two tickets: {each}")
        assigned = [slot for slot in held if slot.state is not SlotState.DESTROYING and slot.holder_id]
        if len(assigned) > SIZE:
            self.wrong.append(f"promised more than there is: {assigned}")


@pytest.mark.timeout(600)
def test_queued_users_are_served_once_and_in_order_despite_kills(state: Path, lean: Path) -> None:
    dice = random.Random(SEED)
    catalog = write_catalog(state / "catalog.yaml", lean_pool_of(SIZE))
    with running_stack(state / "s", catalog=catalog, settings=lean) as stack:
        guests = [
            Guest(person, random.Random(f"{SEED} {person.name}"))
            for person in people(stack, *(f"guest{number:02}" for number in range(CROWD)))
        ]
        watcher = Watcher(stack)
        watcher.start()
        for guest in guests:
            guest.start()
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.3, 1.5))  # kills must come at random times
            victim = dice.choice(VICTIMS)
            eventually(lambda victim=victim: stack.pids(victim), seconds=30, what=victim)
            stack.kill(victim)
            if victim == "hub" and dice.random() < 0.7:  # otherwise the next kill follows at once
                served = _served(guests)
                eventually(
                    lambda before=served: _served(guests) > before or before == CROWD, seconds=90, what="the next one"
                )
        for guest in guests:
            guest.join(240)
            assert not guest.is_alive(), f"{guest.name}: {alive(stack)}\n{stack.unended()}"
        wait_for_order(stack, seconds=60)
        watcher.over.set()
        watcher.join(10)
        assert not watcher.wrong
        assert not alive(stack)
        assert not stack.slots()
        _check_that_each_was_served_once(stack, guests)
        _check_turns(stack, watcher.first_calls)


def _served(guests: list[Guest]) -> int:
    return sum(guest.is_served.is_set() for guest in guests)


def _tickets(stack: Stack) -> list[Ticket]:
    return stack.ledger.read(tickets.since, history(stack)[0].requested_at - timedelta(hours=1))


def _check_that_each_was_served_once(stack: Stack, guests: list[Guest]) -> None:
    ran = Counter(instance.user_name for instance in history(stack) if instance.usable_at is not None)
    assert ran == {guest.name: 1 for guest in guests}
    served = Counter(ticket.user_name for ticket in _tickets(stack) if ticket.state is TicketState.SERVED)
    assert served == {guest.name: 1 for guest in guests}


def _check_turns(stack: Stack, first_calls: dict[str, datetime]) -> None:
    """No ticket was called while a ticket that ranks before it was queued and not yet called."""
    called = [ticket for ticket in _tickets(stack) if ticket.id in first_calls]
    assert sum(ticket.has_waited for ticket in called) >= CROWD - 2 * SIZE, "a line, not a walk-in"
    for first in called:
        for second in called:
            was_known = first.joined_at < first_calls[second.id]
            if was_known and (first.rank_at, first.joined_at) < (second.rank_at, second.joined_at):
                assert first_calls[first.id] <= first_calls[second.id], f"{second} before {first}"
