"""Random events on a pool, through admission and the steward's queue actions, with invariants after each.

After any sequence of events no ticket is lost, doubled or overtaken, and no more slots are reserved than exist.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from spawner.catalog import Catalog
from spawner.errors import LostRace, Refusal
from spawner.ledger import EndReason, Instance, InstanceState, Ledger, SlotState, Ticket, TicketState
from spawner.ledger.pool import instances, slots, tickets
from spawner.steward import queue_actions
from tests.ledger.pool import SimulatedPool
from tests.unit import make
from tests.unit.make import GIB, SimulatedBackend

STEPS = 400
SEEDS = int(os.environ.get("FREEPOOL_SEEDS") or 1)
"""Random courses of events, of each kind of pool on each database."""
USERS = [f"u{number}" for number in range(14)]
LIMITS = {"small": 3, "large": 1}
FAILURES = [EndReason.START_FAILED, EndReason.NO_ROOM, EndReason.LOST]
ENDS = [EndReason.STOPPED, EndReason.DEADLINE, EndReason.CRASHED]


def catalog() -> Catalog:
    return make.catalog(
        make.flavor("small", limit=LIMITS["small"]),
        make.flavor("large", limit=LIMITS["large"], memory=2 * GIB),
        queue={"use_counts": 1, "longest": 6},
    )


@dataclass
class PoolEvents:
    """`ended_by_test`: tickets that were cancelled or expired. `previous`: live tickets before the last event."""

    pool: SimulatedPool
    dice: random.Random
    ended_by_test: set[str] = field(default_factory=set)
    previous: dict[str, Ticket] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def step(self) -> None:
        often = [*[self.ask] * 3, *[self.steward] * 2, self.run_start, self.end_instance, self.pool.finish_endings]
        seldom = [self.fail_start, self.cancel_ticket, self.lose_a_slot, self.create_warm_slot]
        act = self.dice.choice([*often, *often, *seldom])
        self.pool.pass_time(self.dice.choice([0.5, 1, 5, 20]))
        with contextlib.suppress(LostRace):
            act()
        self.counts[act.__name__] += 1
        self.check()

    # Users' actions

    def ask(self) -> None:
        user, flavor = self.dice.choice(USERS), self.dice.choice(list(LIMITS))
        if any(instance.user_name == user for instance in self.live()):
            return
        try:
            ticket = self.pool.ask(user, flavor=flavor, by_user=self.dice.random() < 0.5)
        except Refusal as refusal:
            self.counts[refusal.code] += 1
            return
        if ticket.state is TicketState.CALLED and ticket.instance_id is None and self.dice.random() < 0.5:
            self.pool.begin(ticket)  # otherwise the steward begins it

    def end_instance(self) -> None:
        running = [instance for instance in self.live() if instance.state is InstanceState.RUNNING]
        if running:
            self.pool.end(self.dice.choice(running), self.dice.choice(ENDS))

    def cancel_ticket(self) -> None:
        """Cancel a ticket, in any state."""
        alive = self.pool.alive()
        if not alive:
            return
        ticket = self.dice.choice(alive)
        self.ended_by_test.add(ticket.id)
        if ticket.instance_id is None:
            self.pool.ledger.write(self.pool.admission.release, ticket.id, TicketState.CANCELLED)
        else:
            self.pool.end(self.pool.ledger.read(instances.get, ticket.instance_id), EndReason.CANCELLED)

    # Results of starts

    def starting(self) -> Instance | None:
        found = [instance for instance in self.live() if instance.state is InstanceState.STARTING]
        return self.dice.choice(found) if found else None

    def run_start(self) -> None:
        instance = self.starting()
        if instance:
            self.pool.run(instance)

    def fail_start(self) -> None:
        instance = self.starting()
        if instance:
            self.pool.end(instance, self.dice.choice(FAILURES))

    def lose_a_slot(self) -> None:
        held = [slot for slot in self.pool.slots() if slot.state is not SlotState.DESTROYING]
        instance_ids = {instance.id for instance in self.live()}
        free = [slot for slot in held if slot.holder_id not in instance_ids]
        if free:
            self.pool.ledger.write(slots.mark_destroying, self.dice.choice(free).id, reason=EndReason.LOST)

    def create_warm_slot(self) -> None:
        """The steward creates a warm slot, if there is room."""
        if len(self.pool.slots()) < sum(LIMITS.values()) and not self.pool.alive():
            name = self.pool.new_id()
            self.pool.ledger.write(
                slots.intend, slot_id=name, flavor="small", image="cpu", holder_id=None, now=self.pool.time
            )
            self.pool.ledger.write(slots.mark_warm, name, now=self.pool.time)

    # The steward's actions

    def steward(self) -> None:
        pool = self.pool
        for action in queue_actions.decide(
            pool.alive(),
            slots=pool.slots(),
            instances=pool.ledger.read(instances.unended),
            catalog=pool.catalog,
            now=pool.time,
            groups={},
        ):
            with contextlib.suppress(LostRace):
                self.carry_out(action)
        pool.call_due()

    def carry_out(self, action: queue_actions.Action) -> None:
        pool, ticket = self.pool, action.ticket
        match action:
            case queue_actions.SettleTicket(_, instance_id):
                pool.ledger.write(pool.admission.settle, instance_id)
            case queue_actions.RequeueTicket():
                pool.ledger.write(pool.admission.put_back, ticket)
            case queue_actions.StartTicket():
                pool.begin(ticket)
            case queue_actions.ExpireTicket():
                self.ended_by_test.add(ticket.id)
                pool.ledger.write(pool.admission.release, ticket.id, TicketState.EXPIRED)
            case queue_actions.FailTicket():
                raise AssertionError("the catalog stays as it is")

    # Invariants

    def live(self) -> list[Instance]:
        return [
            instance
            for instance in self.pool.ledger.read(instances.unended)
            if instance.state is not InstanceState.STOPPING
        ]

    def check(self) -> None:
        alive, live = self.pool.alive(), self.live()
        held = self.pool.held()
        for flavor, limit in LIMITS.items():
            assert sum(slot.flavor == flavor for slot in held) <= limit
        holders = Counter(slot.holder_id for slot in held)
        assert max(holders.values(), default=0) <= 1
        assert self._memory(Counter(slot.flavor for slot in held)) <= self.memory
        assert set(holders) <= {ticket.id for ticket in alive} | {instance.id for instance in live}
        waiting = Counter(ticket.user_name for ticket in alive if ticket.state is TicketState.WAITING)
        instances_of_user = Counter(instance.user_name for instance in live)
        assert max([*waiting.values(), *instances_of_user.values()], default=0) <= 1
        called = [ticket for ticket in alive if ticket.state is TicketState.CALLED]
        for had_waited in (True, False):  # a user may have a called ticket beside one that started at once
            called_per_user = Counter(ticket.user_name for ticket in called if ticket.has_waited is had_waited)
            assert max(called_per_user.values(), default=0) <= 1
        self._check_that_no_ticket_is_overtaken(alive)
        self._check_that_no_ticket_is_lost(alive)
        self.previous = {ticket.id: ticket for ticket in alive}

    def _check_that_no_ticket_is_overtaken(self, alive: list[Ticket]) -> None:
        """A called ticket leaves room for all tickets before it that are not yet called."""
        before = {ticket.id for ticket in self.previous.values() if ticket.state is TicketState.WAITING}
        still_waiting = [ticket for ticket in alive if ticket.id in before and ticket.state is TicketState.WAITING]
        assigned = Counter(slot.flavor for slot in self.pool.held())
        for ticket in alive:
            before_it = self.previous.get(ticket.id)
            if ticket.state is TicketState.CALLED and (before_it is None or before_it.state is TicketState.WAITING):
                ranked_before = [
                    other for other in still_waiting if (other.rank_at, other.id) < (ticket.rank_at, ticket.id)
                ]
                ranked_before_in_flavor = [other for other in ranked_before if other.flavor == ticket.flavor]
                if ranked_before_in_flavor:
                    assert assigned[ticket.flavor] + len(ranked_before_in_flavor) <= LIMITS[ticket.flavor]
                    assert (
                        self._memory(assigned)
                        + self._memory(Counter(other.flavor for other in ranked_before_in_flavor))
                        <= self.memory
                    )

    @property
    def memory(self) -> float:
        return self.pool.backend.bytes or math.inf

    def _memory(self, counts: Counter[str]) -> int:
        return sum(self.pool.catalog.flavor(flavor).reserved * count for flavor, count in counts.items())

    def _check_that_no_ticket_is_lost(self, alive: list[Ticket]) -> None:
        for lost in self.previous.keys() - {ticket.id for ticket in alive} - self.ended_by_test:
            ticket = self.pool.ticket(self.previous[lost])
            assert ticket.state in (TicketState.SERVED, TicketState.FAILED)
            if ticket.state is TicketState.FAILED and ticket.has_waited:
                others = [other for other in alive if other.user_name == ticket.user_name]
                assert ticket.tries >= 2 or others, "a ticket that waited is tried three times"

    def serve_all(self) -> None:
        """Check that without new requests and failures all queued tickets are served."""
        left = {ticket.id for ticket in self.pool.alive()}
        for _ in range(60):
            self.pool.pass_time(61)
            for instance in self.live():
                if instance.state is InstanceState.STARTING:
                    self.pool.run(instance)
                else:
                    self.pool.end(instance)
            self.pool.finish_endings()
            self.steward()
            self.check()
        assert self.pool.alive() == []
        for ticket in self.pool.ledger.read(tickets.since, self.pool.time - timedelta(days=30)):
            assert ticket.id not in left or ticket.state is TicketState.SERVED
        assert not self.live()
        assert not self.pool.held()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("memory", [None, 4 * GIB], ids=["a cluster", "one machine"])
def test_no_ticket_is_lost_doubled_or_overtaken(ledger: Ledger, seed: int, memory: int | None) -> None:
    pool = SimulatedPool(ledger, catalog(), SimulatedBackend(bytes=memory))
    events = PoolEvents(pool, random.Random(seed))
    for _ in range(STEPS):
        events.step()
    kinds = ("ask", "run_start", "fail_start", "end_instance", "cancel_ticket", "steward")
    assert min(events.counts[kind] for kind in kinds) > 5
    events.serve_all()
    served = [
        ticket
        for ticket in ledger.read(tickets.since, pool.time - timedelta(days=30))
        if ticket.state is TicketState.SERVED and ticket.has_waited
    ]
    assert len(served) > 10, "enough served tickets had waited"
