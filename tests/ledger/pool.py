"""A simulated pool for tests of admission: real decisions on a real ledger, with the tests' clock and ids."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.ledger import EndReason, Instance, InstanceState, Ledger, Slot, SlotState, Ticket, TicketState
from spawner.ledger.pool import instances, slots, tickets
from spawner.pool.options import choose
from spawner.pool.queue.admission import Admission, SpawnRequest
from spawner.pool.time import holds
from spawner.pool.time.settle import mark_ended
from tests.unit import make
from tests.unit.make import NOW, SimulatedBackend

WAITING, CALLED = TicketState.WAITING, TicketState.CALLED


@dataclass
class SimulatedPool:
    """Writes to the ledger what hub, desk and steward would write, without running them."""

    ledger: Ledger
    catalog: Catalog = field(default_factory=lambda: make.catalog(make.flavor(limit=1)))
    backend: SimulatedBackend = field(default_factory=SimulatedBackend)
    time: datetime = NOW
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def admission(self) -> Admission:
        return Admission(self.catalog, self.backend, lambda: self.time, self.new_id)  # type: ignore[arg-type]

    def new_id(self) -> str:
        return f"n{next(self.numbers):05}"

    def pass_time(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def spawn_request(self, user: str, *, server: str = "", **options: str) -> SpawnRequest:
        return SpawnRequest(user, user, server, choose(self.catalog, options))

    def ask(self, user: str, *, by_user: bool = False, **options: Any) -> Ticket:
        return self.ledger.write(self.admission.ask, self.spawn_request(user, **options), by_user=by_user)

    def call_due(self) -> list[Ticket]:
        return self.ledger.write(self.admission.call_due)

    def place(self, ticket: Ticket) -> int:
        return self.ledger.read(self.admission.position_of, ticket).place

    def ticket(self, ticket: Ticket) -> Ticket:
        """Read the ticket again."""
        return self.ledger.read(tickets.get, ticket.id)

    def alive(self) -> list[Ticket]:
        return self.ledger.read(tickets.alive)

    def slots(self) -> list[Slot]:
        return self.ledger.read(slots.occupying)

    def held(self) -> list[Slot]:
        """Assigned and reserved slots, which count against the limit."""
        return [slot for slot in self.slots() if slot.state is not SlotState.DESTROYING and slot.holder_id]

    def begin(self, ticket: Ticket) -> Instance:
        """Write the first transaction of the hub's start."""
        return self.ledger.write(self.write_intent, ticket)

    def ask_and_begin(self, user: str, **options: Any) -> Instance:
        """Admit and begin in one transaction, as the hub does for a request that has no ticket yet."""

        def write(connection: Connection) -> Instance:
            return self.write_intent(connection, self.admission.ask(connection, self.spawn_request(user, **options)))

        return self.ledger.write(write)

    def write_intent(self, connection: Connection, ticket: Ticket) -> Instance:
        """What `Start._write_intent` writes."""
        name = self.new_id()
        instance = instances.request(
            connection,
            instance_id=name,
            person_id=ticket.person_id,
            user_name=ticket.user_name,
            server_name=ticket.server_name,
            flavor=ticket.flavor,
            image=ticket.image,
            example=ticket.example,
            hub_epoch="1",
            now=self.time,
            at_most=self.catalog.limits.instances_per_user,
        )
        flavor = self.catalog.flavor(ticket.flavor)
        holds.take(
            connection,
            self.catalog,
            instance_id=name,
            person_id=ticket.person_id,
            flavor=flavor,
            session=timedelta(minutes=flavor.session_minutes),
            now=self.time,
            new_id=self.new_id,
        )
        tickets.begin(connection, ticket.id, instance_id=name)
        slots.transfer(connection, ticket_id=ticket.id, instance_id=name)
        return instance

    def run(self, instance: Instance) -> Instance:
        """Write that the instance runs."""

        def write(connection: Connection) -> Instance:
            for slot in slots.of_holder(connection, instance.id):
                if slot.state is SlotState.CREATING:
                    slots.mark_claimed(connection, slot.id, now=self.time)
                instances.attach_slot(connection, instance.id, slot.id)
            session = timedelta(minutes=self.catalog.flavor(instance.flavor).session_minutes)
            ends_at = holds.fit(connection, instance.id, self.time + session, self.time)
            return instances.mark_running(connection, instance.id, url="http://x", now=self.time, ends_at=ends_at)

        return self.ledger.write(write)

    def start(self, user: str, **options: Any) -> Instance:
        """Request and start an instance for which there is room."""
        ticket = self.ask(user, **options)
        assert ticket.state is TicketState.CALLED, f"{user} is queued"
        return self.run(self.begin(ticket))

    def end(
        self, instance: Instance, reason: EndReason = EndReason.STOPPED, *, died_at: datetime | None = None
    ) -> None:
        """Write the intent to end it, which `finish_endings` finishes."""
        self.ledger.write(self.admission.intend_end, instance.id, reason, died_at=died_at)

    def finish_endings(self) -> None:
        """Finish all slots and instances that are ending."""

        def write(connection: Connection) -> None:
            for slot in slots.occupying(connection):
                if slot.state is SlotState.DESTROYING:
                    slots.mark_gone(connection, slot.id, now=self.time)
            for instance in instances.unended(connection):
                if instance.state is InstanceState.STOPPING:
                    mark_ended(connection, instance.id, now=self.time)

        self.ledger.write(write)


def warm(
    pool: SimulatedPool, name: str, *, flavor: str = "small", image: str = "cpu", version: str | None = None
) -> None:
    """Add a warm slot that is a minute old."""
    pool.ledger.write(
        slots.intend,
        slot_id=name,
        flavor=flavor,
        image=image,
        holder_id=None,
        now=pool.time - timedelta(minutes=1),
        version=version,
    )
    pool.ledger.write(slots.mark_warm, name, now=pool.time)


def reserved(pool: SimulatedPool, ticket: Ticket) -> list[Slot]:
    """The slots that a ticket has reserved."""
    return [slot for slot in pool.slots() if slot.holder_id == ticket.id and slot.state is not SlotState.DESTROYING]
