"""Admission: who may have an instance now, and who stands in line. Rows in, rows out, within one write of the ledger.

All ways to a start come through here, so nobody overtakes the line: the desk, JupyterHub's own API and pages, and the
steward when somebody's turn has come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor
from spawner.errors import AlreadyQueued, LostRace, Maintenance, Paused, PoolFull
from spawner.ledger import EndReason, Instance, Slot, SlotState, Ticket, TicketState
from spawner.ledger.pool import admin_settings, instances, slots, tickets
from spawner.ledger.pool.rows import LIVE
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.backends.base import Backend
from spawner.pool.capacity import room_for, slot_to_preempt
from spawner.pool.options import Choice
from spawner.pool.queue.ordering import USE_WINDOW, due_tickets, has_room, rank, waiting_in_order
from spawner.pool.queue.wait_estimate import WaitEstimate
from spawner.pool.queue.wait_history import WaitHistories

PLATFORM_FAILURES = (EndReason.NO_ROOM, EndReason.LOST, EndReason.SHUTDOWN)
"""Why a start ends that says nothing against it."""
MAX_FAILED_STARTS = 3
"""Starts that fail before somebody who stood in line is told so."""


@dataclass(frozen=True)
class SpawnRequest:
    """Who wants what. `groups` are JupyterHub's, where they are known."""

    user_name: str
    server_name: str
    choice: Choice
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class QueuePosition:
    """Where somebody stands: the place from 1, and how long it will take, where that can be told."""

    ticket: Ticket
    place: int
    wait: WaitEstimate | None


@dataclass(frozen=True)
class Admission:
    """Decides for one pool. `now` and `new_id` are passed in so that tests control them."""

    catalog: Catalog
    backend: Backend
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    wait_histories: WaitHistories = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "wait_histories", WaitHistories(self.catalog, self.now))

    def ask(self, connection: Connection, wish: SpawnRequest, *, by_user: bool = False) -> Ticket:
        """The ticket for a wish: CALLED, with a slot reserved, where it is its turn, else WAITING.

        Asking again is harmless: it is the same ticket, and it keeps its place. `is_here`: the person asks, and no
        program for them. Raises `PoolFull` where the line is full, `AlreadyQueued` where the person waits for something
        else, `Paused` and `Maintenance` where nothing is lent.
        """
        mine = tickets.alive(connection, wish.user_name)
        for ticket in mine:
            if _is_for(ticket, wish):
                is_due = ticket.state is TicketState.WAITING and self._is_due(connection, ticket)
                return self._call(connection, ticket) if is_due else ticket
        choice = wish.choice
        self._refuse_closed(connection, choice.flavor)
        ticket = self._new_ticket(
            wish.user_name,
            wish.server_name,
            flavor=choice.flavor.id,
            image=choice.image.id,
            example=choice.example.id if choice.example else None,
            rank_at=self._rank(connection, wish),
            collected_at=None,
        )
        if self._is_due(connection, ticket, ticket):
            self._refuse_another(mine)
            return self._call(
                connection, replace(ticket, collected_at=ticket.joined_at if by_user else None), is_new=True
            )
        waiting = [one for one in mine if one.state is TicketState.WAITING or one.called_at != one.joined_at]
        if waiting:
            raise AlreadyQueued(
                "You are in line for {flavor} already.",
                next_step="Leave that line first, or choose something that is free now.",
                flavor=waiting[0].flavor,
            )
        return tickets.join(connection, self._with_estimate(connection, ticket))

    def has_due_ticket(self, connection: Connection) -> bool:
        """Whether `call_due` has anything to do. For a reader: a long line must not keep writers waiting."""
        occupying, memory = slots.occupying(connection), self.backend.memory()
        has_any = any(has_room(self.catalog, flavor, occupying, memory) for flavor in self.catalog.flavors)
        return has_any and bool(self._due(connection))

    def call_due(self, connection: Connection) -> list[Ticket]:
        """Call everybody whose turn has come, and reserve a slot for each."""
        return [self._call(connection, ticket) for ticket in self._due(connection).values()]

    def reserve_replacement(self, connection: Connection, running: Instance) -> Ticket:
        """A called ticket for an instance in the place of a running one, which the caller ends.

        So a restart does not go to the end of the line; and where others stand in it, gets no more time either.
        """
        flavor = self.catalog.flavor(running.flavor)
        self._refuse_closed(connection, flavor)
        for one in tickets.alive(connection, running.user_name):  # asked twice: it is the same
            kind = (one.server_name, one.flavor, one.image)
            is_held = one.state is TicketState.CALLED and one.instance_id is None
            if is_held and kind == (running.server_name, running.flavor, running.image):
                return one
        has_rivals = any(one.flavor == flavor.id for one in waiting_in_order(tickets.alive(connection)))
        own = tickets.of_instance(connection, running.id)
        ends_by = running.ends_at or (own.ends_by if own is not None else None)  # the latter while it still starts
        now = self.now()
        ticket = self._new_ticket(
            running.user_name,
            running.server_name,
            flavor=flavor.id,
            image=running.image,
            example=None,
            rank_at=now,
            collected_at=now,
        )
        return self._call(connection, replace(ticket, ends_by=ends_by if has_rivals else None), is_new=True)

    def release(self, connection: Connection, ticket_id: str, state: TicketState, *, detail: str | None = None) -> None:
        """End a ticket before its start has begun, and give back what was reserved for it. Else raises `LostRace`.

        A start that has begun is ended as an instance.
        """
        if tickets.get(connection, ticket_id).instance_id is not None:
            raise LostRace("The start for the ticket {ticket} has begun.", ticket=ticket_id)
        tickets.close(connection, ticket_id, state, now=self.now(), detail=detail)
        slots.release(connection, ticket_id)

    def settle(self, connection: Connection, instance_id: str) -> None:
        """What becomes of the ticket of an instance that ended before it ran; nothing where there is none.

        Whoever stood in line, or met no fault of their own, keeps their place; else the failure has been told.
        """
        ticket = tickets.of_instance(connection, instance_id)
        if ticket is None or ticket.state is not TicketState.CALLED:
            return
        instance = instances.get(connection, instance_id)
        if instance.state in LIVE:
            return
        had_waited = ticket.called_at != ticket.joined_at
        is_left_over = had_waited and instance.reason is EndReason.SUPERSEDED  # by a hub that was killed meanwhile
        has_failed = instance.reason not in PLATFORM_FAILURES and not is_left_over
        tries = MAX_FAILED_STARTS if had_waited else 1
        if has_failed and ticket.tries + 1 >= tries:
            tickets.close(connection, ticket.id, TicketState.FAILED, now=self.now(), detail=instance.detail)
        else:
            self.put_back(connection, ticket, has_failed=has_failed)

    def put_back(self, connection: Connection, ticket: Ticket, *, has_failed: bool = False) -> None:
        """A called ticket waits again, at its place: what was reserved for it is lost.

        Raises `LostRace` where its start is another than when the caller looked.
        """
        if tickets.get(connection, ticket.id).instance_id != ticket.instance_id:
            raise LostRace("The start for the ticket {ticket} has begun.", ticket=ticket.id)
        if any(one.state is TicketState.WAITING for one in tickets.alive(connection, ticket.user_name)):
            tickets.close(connection, ticket.id, TicketState.FAILED, now=self.now())  # nobody stands in line twice
        else:
            tickets.put_back(connection, ticket.id, has_failed=has_failed)

    def position_of(self, connection: Connection, ticket: Ticket) -> QueuePosition:
        """Where a waiting ticket stands."""
        place = tickets.ahead(connection, ticket) + 1
        return QueuePosition(ticket, place, self.estimate(connection, ticket.flavor, place))

    def estimate(self, connection: Connection, flavor: str, place: int) -> WaitEstimate | None:
        """How long the one at this place will wait; None where nothing is known that could end."""
        wait_history = self.wait_histories.of(connection).get(flavor)
        return None if wait_history is None else wait_history.wait(place)  # the catalog may not have it any more

    def reserve(self, connection: Connection, *, flavor: str, image: str, holder: str) -> Slot:
        """A waiting slot, else the intent of a new one; where others give their room for it, they are withdrawn."""
        now = self.now()
        if self.catalog.image(image).agent:  # what knows no claim cannot wait for one
            waiting = slots.claim_waiting(connection, flavor=flavor, image=image, instance_id=holder, now=now)
            if waiting is not None:
                return waiting
        self._make_room(connection, flavor, image)
        return slots.intend(connection, slot_id=self.new_id(), flavor=flavor, image=image, instance_id=holder, now=now)

    def _make_room(self, connection: Connection, flavor_id: str, image_id: str) -> None:
        flavor, image, memory = self.catalog.flavor(flavor_id), self.catalog.image(image_id), self.backend.memory()
        while True:
            staying = [one for one in slots.occupying(connection) if one.state is not SlotState.DESTROYING]
            if room_for(self.catalog, flavor, staying, memory) >= 1:
                return
            gives_way = slot_to_preempt(self.catalog, flavor, image, staying, memory)
            if gives_way is None:
                return
            slots.withdraw(connection, gives_way.id)

    def closed(self, connection: Connection) -> set[str]:
        """Flavors that nobody is given just now: paused, drained, not served here, or without room in the cluster."""
        now = self.now()
        return (
            AdminSettings(admin_settings.all_of(connection)).closed(self.catalog)
            | slots.without_room(connection, since=now - self.catalog.limits.no_room_ttl)
            | {flavor.id for flavor in self.catalog.flavors if self.backend.why_not(flavor) is not None}
        )

    def _is_due(self, connection: Connection, ticket: Ticket, *new: Ticket) -> bool:
        flavor = self.catalog.flavor(ticket.flavor)
        if not has_room(self.catalog, flavor, slots.occupying(connection), self.backend.memory()):
            return False  # a crowd in front of a full pool does not read the line one after the other
        return ticket.id in self._due(connection, *new)

    def _due(self, connection: Connection, *new: Ticket) -> dict[str, Ticket]:
        turn = due_tickets(
            self.catalog,
            [*tickets.alive(connection), *new],
            slots.occupying(connection),
            self.backend.memory(),
            closed=self.closed(connection),
        )
        return {ticket.id: ticket for ticket in turn}

    def _call(self, connection: Connection, ticket: Ticket, *, is_new: bool = False) -> Ticket:
        now = self.now()
        hold_until = now + timedelta(seconds=self.catalog.queue.hold_seconds)
        if is_new:
            tickets.join(
                connection, replace(ticket, state=TicketState.CALLED, called_at=ticket.joined_at, hold_until=hold_until)
            )
        else:
            tickets.call(connection, ticket.id, now=now, hold_until=hold_until)
        self.reserve(connection, flavor=ticket.flavor, image=ticket.image, holder=ticket.id)
        return tickets.get(connection, ticket.id)

    def _refuse_another(self, mine: Iterable[Ticket]) -> None:
        """Nobody has two slots reserved: one could take everything without ever starting any of it."""
        for ticket in mine:
            if ticket.state is TicketState.CALLED and ticket.instance_id is None:
                raise AlreadyQueued(
                    "The shape {flavor} is held for you.", next_step="Start it, or give it up.", flavor=ticket.flavor
                )

    def _refuse_closed(self, connection: Connection, flavor: Flavor) -> None:
        settings = AdminSettings(admin_settings.all_of(connection))
        if settings.drain is not None:
            raise Maintenance(
                "The platform is closed for maintenance.", next_step="Come back later.", details=settings.drain.reason
            )
        if settings.is_paused(flavor.id):
            raise Paused(
                "The shape {flavor} is paused by the operator.", next_step="Try another shape.", flavor=flavor.id
            )

    def _rank(self, connection: Connection, wish: SpawnRequest) -> datetime:
        now = self.now()
        used = instances.used_since(connection, wish.user_name, now - USE_WINDOW, now=now)
        return rank(self.catalog.queue, now=now, used=used, groups=wish.groups)

    def _with_estimate(self, connection: Connection, ticket: Ticket) -> Ticket:
        """With the wait that it begins with. Raises `PoolFull` where the line has no more places."""
        if tickets.in_line(connection, ticket.flavor) >= self.catalog.queue.longest:
            raise PoolFull(
                "Everything of the shape {flavor} is lent out just now, and the line is full.",
                next_step="Try another shape, or come back when somebody has stopped.",
                flavor=ticket.flavor,
            )
        place = tickets.ahead(connection, ticket) + 1
        wait = self.wait_histories.of(connection)[ticket.flavor].raw_estimate(place)
        if wait is None:
            return ticket
        return replace(ticket, expected_low=round(wait.low), expected_high=round(wait.high))

    def _new_ticket(
        self,
        user_name: str,
        server_name: str,
        *,
        flavor: str,
        image: str,
        example: str | None,
        rank_at: datetime,
        collected_at: datetime | None,
    ) -> Ticket:
        return Ticket(
            id=self.new_id(),
            user_name=user_name,
            server_name=server_name,
            flavor=flavor,
            image=image,
            example=example,
            state=TicketState.WAITING,
            joined_at=self.now(),
            rank_at=rank_at,
            called_at=None,
            hold_until=None,
            instance_id=None,
            served_at=None,
            collected_at=collected_at,
            told_at=None,
            ended_at=None,
            expected_low=None,
            expected_high=None,
            tries=0,
            ends_by=None,
            detail=None,
        )


def _is_for(ticket: Ticket, wish: SpawnRequest) -> bool:
    """Whether a ticket is for this very wish. An example is only which notebook is opened."""
    choice = wish.choice
    return (ticket.server_name, ticket.flavor, ticket.image) == (wish.server_name, choice.flavor.id, choice.image.id)
