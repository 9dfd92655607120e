"""Admission: which spawn requests get a slot now, and which are queued. Rows in, rows out, in one ledger transaction.

Each new request passes here, from the desk and from JupyterHub's own API and pages, so none overtakes the queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.catalog import Catalog, Flavor, Rights
from spawner.errors import AlreadyQueued, LostRace, Maintenance, NoHours, Paused, PoolFull
from spawner.ledger import EndReason, Instance, Slot, SlotState, Ticket, TicketState
from spawner.ledger.people import bans, people
from spawner.ledger.pool import admin_settings, instances, slots, tickets
from spawner.ledger.pool.rows import LIVE
from spawner.ledger.pool.told import tell_turn
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.backends.base import Backend
from spawner.pool.capacity import Room, room_for, slot_to_preempt
from spawner.pool.options import Choice
from spawner.pool.policies import refuse_denied, rights_in
from spawner.pool.queue.ordering import USE_WINDOW, any_has_room, due_ids, has_room, rank
from spawner.pool.queue.wait_estimate import WaitEstimate
from spawner.pool.queue.wait_history import WaitHistories
from spawner.pool.templates import version_of
from spawner.pool.time import holds
from spawner.pool.time.refusals import TICKET_ENDED

PLATFORM_FAILURES = (EndReason.NO_ROOM, EndReason.LOST, EndReason.SHUTDOWN)
"""End reasons that are not the start's fault: its ticket is queued again, without counting a failure."""
MAX_FAILED_STARTS = 3
"""Failed starts after which the ticket of a queued request fails."""


@dataclass(frozen=True)
class SpawnRequest:
    """A request for an instance."""

    person_id: str
    user_name: str
    server_name: str
    choice: Choice


@dataclass(frozen=True)
class QueuePosition:
    """A ticket's place in the queue, from 1, and its estimated wait, where there is an estimate."""

    ticket: Ticket
    place: int
    wait: WaitEstimate | None


@dataclass(frozen=True)
class Admission:
    """Admission of one pool. Tests pass their own `now` and `new_id`."""

    catalog: Catalog
    backend: Backend
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    hub: str | None = None
    """Name of the hub that asks, where there are several: others' people are refused."""
    wait_histories: WaitHistories = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "wait_histories", WaitHistories(self.catalog, self.now))

    def ask(self, connection: Connection, request: SpawnRequest, *, by_user: bool = False) -> Ticket:
        """The ticket for a spawn request: CALLED, with a slot reserved, where it is its turn, else WAITING.

        Idempotent: the same request gets the same ticket at the same place. `by_user`: the user asks in person, so the
        instance counts as collected. Raises `Banned`, `NotForYou`, `NoHours`, `PoolFull` where the queue is full,
        `AlreadyQueued` where the user waits for another flavor or image, `Paused` and `Maintenance` where the flavor is
        closed. Raises `OfAnotherHub` where the person has been moved meanwhile.
        """
        if self.hub is not None:
            people.require_hub(people.get(connection, request.person_id), self.hub)
        self.refuse_banned(connection, request.person_id)
        rights = self.rights(connection, request.person_id)
        refuse_denied(rights.denial(request.choice.flavor.id, request.choice.image.id))
        open_tickets = tickets.alive(connection, request.person_id)
        for ticket in open_tickets:
            if _is_for(ticket, request):
                if ticket.state is TicketState.WAITING:
                    self._refuse_without_hours(connection, request, request.choice.flavor, rights)
                is_due = ticket.state is TicketState.WAITING and self._is_due(connection, ticket)
                return self._call(connection, ticket) if is_due else ticket
        choice = request.choice
        self._refuse_closed(connection, choice.flavor)
        self._refuse_without_hours(connection, request, choice.flavor, rights)
        ticket = self._new_ticket(
            request.person_id,
            request.user_name,
            request.server_name,
            flavor=choice.flavor.id,
            image=choice.image.id,
            example=choice.example.id if choice.example else None,
            rank_at=self._rank(connection, request, rights),
            collected_at=None,
        )
        if self._is_due(connection, ticket, is_new=True):
            self._refuse_second_reservation(open_tickets)
            return self._call(
                connection, replace(ticket, collected_at=ticket.joined_at if by_user else None), is_new=True
            )
        waiting = [own for own in open_tickets if own.has_waited]
        if waiting:
            raise AlreadyQueued(
                "You are already in the queue for {flavor}.",
                next_step="Leave that queue first, or choose a machine type that is available now.",
                flavor=waiting[0].flavor,
            )
        return tickets.join(connection, self._with_estimate(connection, ticket))

    def refuse_banned(self, connection: Connection, person_id: str) -> None:
        """Raise `Banned` where the person is banned."""
        bans.refuse_banned(connection, person_id, now=self.now())

    def rights(self, connection: Connection, person_id: str) -> Rights:
        """What the catalog's policies give a person."""
        return rights_in(connection, self.catalog, person_id)

    def has_due_ticket(self, connection: Connection) -> bool:
        """Whether `call_due` would call a ticket. A read, so that a long queue does not block writers."""
        has_any = any_has_room(self.catalog, slots.held_by_flavor(connection), self.backend.memory())
        return has_any and next(self._due(connection, tickets.waiting(connection)), None) is not None

    def call_due(self, connection: Connection) -> list[Ticket]:
        """Call all tickets whose turn has come, and reserve a slot for each.

        A ticket whose person has no hours left for it is ended instead.
        """
        called = []
        for ticket in [tickets.get(connection, one) for one in self._due(connection, tickets.waiting(connection))]:
            try:
                rights, flavor = self.rights(connection, ticket.person_id), self.catalog.flavor(ticket.flavor)
                self._refuse_without_hours(connection, ticket, flavor, rights)
            except NoHours:
                self.release(connection, ticket.id, TicketState.FAILED, detail=TICKET_ENDED)
            else:
                called.append(self._call(connection, ticket))
        return called

    def reserve_replacement(self, connection: Connection, running: Instance) -> Ticket:
        """A called ticket for the restart of a running instance, which the caller ends.

        A restart is not queued. Where others wait for the flavor, the new instance keeps the old deadline. Raises
        `Banned`, `NotForYou`, `NoHours`, `Paused` and `Maintenance`; `LostRace` where the instance has ended.
        """
        flavor = self.catalog.flavor(running.flavor)
        self.refuse_banned(connection, running.person_id)
        rights = self.rights(connection, running.person_id)
        refuse_denied(rights.denial(flavor.id, running.image))
        self._refuse_closed(connection, flavor)
        self._refuse_without_hours(connection, running, flavor, rights)
        if instances.get(connection, running.id).state not in LIVE:
            raise LostRace("The instance {instance} has ended.", instance=running.id)
        for one in tickets.alive(connection, running.person_id):  # idempotent
            kind = (one.server_name, one.flavor, one.image)
            is_held = one.state is TicketState.CALLED and one.instance_id is None
            if is_held and kind == (running.server_name, running.flavor, running.image):
                return one
        has_rivals = tickets.in_line(connection, flavor.id) > 0
        own = tickets.of_instance(connection, running.id)
        ends_by = running.ends_at or (
            own.ends_by if own is not None else None
        )  # a starting instance has no deadline yet
        now = self.now()
        ticket = self._new_ticket(
            running.person_id,
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
        """End a ticket whose start has not begun, and release its slot.

        Raises `LostRace` where the start has begun: then end the instance instead.
        """
        if tickets.get(connection, ticket_id).instance_id is not None:
            raise LostRace("The start for the ticket {ticket} has begun.", ticket=ticket_id)
        tickets.close(connection, ticket_id, state, now=self.now(), detail=detail)
        slots.release(connection, ticket_id)

    def settle(self, connection: Connection, instance_id: str) -> None:
        """Close or requeue the ticket of an instance that ended before it ran. Does nothing where it has no ticket.

        Requeued: starts that the platform broke, and queued requests with fewer than `MAX_FAILED_STARTS` failures.
        """
        ticket = tickets.of_instance(connection, instance_id)
        if ticket is None or ticket.state is not TicketState.CALLED:
            return
        instance = instances.get(connection, instance_id)
        if instance.state in LIVE:
            return
        had_waited = ticket.has_waited
        is_left_over = had_waited and instance.reason is EndReason.SUPERSEDED  # its hub was killed meanwhile
        has_failed = instance.reason not in PLATFORM_FAILURES and not is_left_over
        tries = MAX_FAILED_STARTS if had_waited else 1
        if has_failed and ticket.tries + 1 >= tries:
            tickets.close(connection, ticket.id, TicketState.FAILED, now=self.now(), detail=instance.detail)
        else:
            self.put_back(connection, ticket, has_failed=has_failed)

    def intend_end(
        self,
        connection: Connection,
        instance_id: str,
        reason: EndReason,
        *,
        detail: str | None = None,
        died_at: datetime | None = None,
    ) -> None:
        """Write the intent to end an instance and its slots, and what it used.

        A stop for which a replacement is reserved is a restart. Raises `LostRace` where it is ending already.
        """
        now = self.now()
        if reason is EndReason.STOPPED and self._is_replaced(connection, instance_id):
            reason = EndReason.RESTARTED
        instances.mark_stopping(connection, instance_id, reason=reason, now=now, detail=detail, died_at=died_at)
        holds.release(connection, instance_id, now=now)
        self.settle(connection, instance_id)
        for slot in slots.of_holder(connection, instance_id):
            if slot.state is not SlotState.DESTROYING:
                slots.mark_destroying(connection, slot.id, reason=reason)

    def leave_for(self, connection: Connection, ticket_id: str) -> bool:
        """Write that the user leaves their running instance for the slot that a called ticket reserves.

        Before the hub writes that they stopped it. False where there is nothing to stop: no instance runs, or the slot
        is not reserved any more, because another request has claimed it or given it up, or its time is over.
        """
        ticket = tickets.get(connection, ticket_id)
        if ticket.state is not TicketState.CALLED or ticket.instance_id is not None:
            return False
        running = instances.latest(connection, ticket.person_id, ticket.server_name)
        if running is None or running.state not in LIVE:
            return False
        self.intend_end(connection, running.id, EndReason.SWITCHED)
        return True

    @staticmethod
    def _is_replaced(connection: Connection, instance_id: str) -> bool:
        """Whether `reserve_replacement` has a slot for the next instance of the same server."""
        instance = instances.get(connection, instance_id)
        return any(
            one.state is TicketState.CALLED and one.instance_id is None and not one.has_waited
            for one in tickets.alive(connection, instance.person_id)
            if one.server_name == instance.server_name
        )

    def put_back(self, connection: Connection, ticket: Ticket, *, has_failed: bool = False) -> None:
        """Queue a called ticket again at its place, because its slot is lost.

        Raises `LostRace` where its start has changed since the caller read it.
        """
        if tickets.get(connection, ticket.id).instance_id != ticket.instance_id:
            raise LostRace("The start for the ticket {ticket} has begun.", ticket=ticket.id)
        if any(one.state is TicketState.WAITING for one in tickets.alive(connection, ticket.person_id)):
            tickets.close(
                connection, ticket.id, TicketState.FAILED, now=self.now()
            )  # at most one waiting ticket per person
        else:
            tickets.put_back(connection, ticket.id, has_failed=has_failed)

    def position_of(self, connection: Connection, ticket: Ticket) -> QueuePosition:
        """The place and estimated wait of a waiting ticket."""
        place = tickets.ahead(connection, ticket) + 1
        return QueuePosition(ticket, place, self.estimate(connection, ticket.flavor, place))

    def estimate(self, connection: Connection, flavor: str, place: int) -> WaitEstimate | None:
        """The estimated wait at a place; None where no running instance could end."""
        wait_history = self.wait_histories.of(connection).get(flavor)
        return None if wait_history is None else wait_history.wait(place)  # None: the catalog has dropped the flavor

    def reserve(self, connection: Connection, *, flavor: str, image: str, holder: str) -> Slot:
        """An unassigned slot, else the intent of a new one. Unassigned slots of other kinds are preempted for it."""
        now = self.now()
        version = version_of(self.catalog, self.backend, self.catalog.flavor(flavor), self.catalog.image(image))
        if self.catalog.image(image).agent:  # without the agent there are no warm slots
            waiting = slots.claim_waiting(
                connection, flavor=flavor, image=image, holder_id=holder, now=now, version=version
            )
            if waiting is not None:
                return waiting
        self._make_room(connection, flavor, image, version)
        return slots.intend(
            connection, slot_id=self.new_id(), flavor=flavor, image=image, holder_id=holder, now=now, version=version
        )

    def _make_room(self, connection: Connection, flavor_id: str, image_id: str, version: str) -> None:
        flavor, image, memory = self.catalog.flavor(flavor_id), self.catalog.image(image_id), self.backend.memory()
        if Room.beside(self.catalog, slots.staying_by_flavor(connection), memory).left_for(flavor) >= 1:
            return  # spares reading all slots
        while True:
            staying = [one for one in slots.occupying(connection) if one.state is not SlotState.DESTROYING]
            if room_for(self.catalog, flavor, staying, memory) >= 1:
                return
            gives_way = slot_to_preempt(self.catalog, flavor, image, staying, memory, version=version)
            if gives_way is None:
                return
            slots.withdraw(connection, gives_way.id)

    def closed(self, connection: Connection) -> set[str]:
        """Flavors that no request gets now: paused, drained, not served here, or without room in the cluster."""
        now = self.now()
        return (
            AdminSettings(admin_settings.all_of(connection)).closed(self.catalog)
            | slots.without_room(connection, since=now - self.catalog.limits.no_room_ttl)
            | {flavor.id for flavor in self.catalog.flavors if self.backend.why_not(flavor) is not None}
        )

    def _is_due(self, connection: Connection, ticket: Ticket, *, is_new: bool = False) -> bool:
        """Whether it is a ticket's turn. `is_new`: it is not written yet."""
        flavor = self.catalog.flavor(ticket.flavor)
        if not has_room(self.catalog, flavor, slots.held_by_flavor(connection), self.backend.memory()):
            return False  # spares reading the queue while the pool is full
        queue = tickets.waiting(connection)
        if is_new:
            queue.insert(tickets.before(connection, ticket), (ticket.id, ticket.flavor))
        return ticket.id in self._due(connection, queue)

    def _due(self, connection: Connection, queue: Iterable[tuple[str, str]]) -> Iterator[str]:
        """The ids of the tickets to call now, of a queue of ids and flavors."""
        held, memory = slots.held_by_flavor(connection), self.backend.memory()
        return due_ids(self.catalog, queue, held, memory, closed=self.closed(connection))

    def _call(self, connection: Connection, ticket: Ticket, *, is_new: bool = False) -> Ticket:
        now = self.now()
        hold_until = now + timedelta(seconds=self.catalog.queue.hold_seconds)
        if is_new:
            tickets.join(
                connection, replace(ticket, state=TicketState.CALLED, called_at=ticket.joined_at, hold_until=hold_until)
            )
        else:
            tickets.call(connection, ticket.id, now=now, hold_until=hold_until)
            tell_turn(connection, ticket, hold_until=hold_until, now=now)
        self.reserve(connection, flavor=ticket.flavor, image=ticket.image, holder=ticket.id)
        return tickets.get(connection, ticket.id)

    def _refuse_second_reservation(self, open_tickets: Iterable[Ticket]) -> None:
        """At most one reserved slot per user: else a user could reserve the whole pool without starting anything."""
        for ticket in open_tickets:
            if ticket.state is TicketState.CALLED and ticket.instance_id is None:
                raise AlreadyQueued(
                    "{flavor} is reserved for you.", next_step="Start it, or decline it.", flavor=ticket.flavor
                )

    def _refuse_without_hours(
        self, connection: Connection, one: SpawnRequest | Ticket | Instance, flavor: Flavor, rights: Rights
    ) -> None:
        """Raise `NoHours` where too little is left for a start."""
        session, server = timedelta(minutes=rights.session_minutes(flavor)), (one.person_id, one.server_name)
        holds.refuse_server_without_hours(connection, self.catalog, server, flavor, session, self.now())

    def _refuse_closed(self, connection: Connection, flavor: Flavor) -> None:
        settings = AdminSettings(admin_settings.all_of(connection))
        if settings.drain is not None:
            raise Maintenance(
                "The platform is under maintenance.", next_step="Come back later.", details=settings.drain.reason
            )
        if settings.is_paused(flavor.id):
            raise Paused(
                "The administrator has paused {flavor}.", next_step="Try another machine type.", flavor=flavor.id
            )

    def _rank(self, connection: Connection, request: SpawnRequest, rights: Rights) -> datetime:
        now = self.now()
        used = instances.used_since(connection, request.person_id, now - USE_WINDOW, now=now)
        weight = rights.queue_weight(request.choice.flavor.id)
        return rank(self.catalog.queue, now=now, used=used, weight=weight)

    def _with_estimate(self, connection: Connection, ticket: Ticket) -> Ticket:
        """The ticket with its estimated wait. Raises `PoolFull` where the queue is full."""
        if tickets.in_line(connection, ticket.flavor) >= self.catalog.queue.longest:
            raise PoolFull(
                "All {flavor} notebooks are in use, and the queue is full.",
                next_step="Try another machine type, or come back later.",
                flavor=ticket.flavor,
            )
        place = tickets.ahead(connection, ticket) + 1
        wait = self.wait_histories.of(connection)[ticket.flavor].raw_estimate(place)
        if wait is None:
            return ticket
        return replace(ticket, expected_low=round(wait.low), expected_high=round(wait.high))

    def _new_ticket(
        self,
        person_id: str,
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
            person_id=person_id,
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


def _is_for(ticket: Ticket, request: SpawnRequest) -> bool:
    """Whether a ticket is for this request. Examples may differ: they only choose the notebook file to open."""
    choice = request.choice
    return (ticket.server_name, ticket.flavor, ticket.image) == (request.server_name, choice.flavor.id, choice.image.id)
