"""More users than a flavor has slots: they are queued, use their instance briefly, and go."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from datetime import datetime

import httpx

from spawner.ledger import Ledger, SlotState
from spawner.ledger.pool import instances, slots, tickets
from tests.hub.queue_users import Person
from tests.stack import Stack

FLAVOR = "cpu-large"
SIZE = 3
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
        person_id = self.person.stack.person_of(self.name)
        return bool(ledger.read(tickets.alive, person_id) or ledger.read(instances.unended, person_id))

    def _has_running_instance(self, ledger: Ledger) -> bool:
        own = ledger.read(instances.unended, self.person.stack.person_of(self.name))
        return any(instance.state == "running" for instance in own)

    def _ask(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            if self.dice.random() < 0.5:
                self.person.ask(flavor=FLAVOR)
            else:
                self.person.stack.start(self.name, flavor=FLAVOR)

    def _go(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            self.person.stack.api("DELETE", f"/users/{self.name}/server")


def served(guests: list[Guest]) -> int:
    """How many have had their instance."""
    return sum(guest.is_served.is_set() for guest in guests)


class Watcher(threading.Thread):
    """Polls the ledger: records when each guest's ticket was first called, and violated invariants."""

    def __init__(self, stack: Stack, guests: set[str]) -> None:
        super().__init__(daemon=True)
        self.stack, self.guests = stack, guests
        self.over = threading.Event()
        self.first_calls: dict[str, datetime] = {}
        self.wrong: list[str] = []

    def run(self) -> None:
        ledger = self.stack.ledger
        while not self.over.wait(LOOK_SECONDS):
            self._look(ledger)

    def _look(self, ledger: Ledger) -> None:
        queue, held = ledger.read(lambda connection: (tickets.alive(connection), slots.occupying(connection)))
        queue = [ticket for ticket in queue if ticket.user_name in self.guests]
        for ticket in queue:
            if ticket.called_at is not None:
                self.first_calls.setdefault(ticket.id, ticket.called_at)
        each = Counter(ticket.user_name for ticket in queue)
        if max(each.values(), default=0) > 1:
            self.wrong.append(f"two tickets: {each}")
        assigned = [
            slot for slot in held if slot.flavor == FLAVOR and slot.state is not SlotState.DESTROYING and slot.holder_id
        ]
        if len(assigned) > SIZE:
            self.wrong.append(f"promised more than there is: {assigned}")
