"""The order of the queue, and which tickets are due. Pure: computed from rows of one snapshot.

First come, first served, but recent use of the pool delays a ticket's rank by a part of that time, at most by the
catalog's longest handicap. A rank is fixed when its ticket is created. So a ticket is overtaken only by those created
within the handicap, and none starves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from spawner.catalog import Catalog, Flavor, Queue
from spawner.ledger import Slot, SlotState, Ticket, TicketState
from spawner.pool.capacity import Room, is_unassigned

USE_WINDOW = timedelta(days=1)


def rank(rules: Queue, *, now: datetime, used: timedelta, weight: float = 1.0) -> datetime:
    """The rank of a request made now, by what the user `used` in the last day. With a larger weight it counts less."""
    behind = used.total_seconds() * rules.use_counts / weight  # divided by a tiny weight it may overflow a timedelta
    return now + timedelta(seconds=min(behind, rules.longest_handicap_minutes * 60))


def waiting_in_order(tickets: Iterable[Ticket]) -> list[Ticket]:
    """The waiting tickets, first to be served first."""
    waiting = (ticket for ticket in tickets if ticket.state is TicketState.WAITING)
    return sorted(waiting, key=lambda ticket: (ticket.rank_at, ticket.joined_at, ticket.id))


def due_tickets(
    catalog: Catalog,
    tickets: Iterable[Ticket],
    slots: Iterable[Slot],
    memory: int | None,
    *,
    closed: Collection[str] = (),
) -> Iterator[Ticket]:
    """The tickets to call now, in order.

    `slots` are all that take up room. Slots that are being destroyed count as room: the called start waits for their
    end. Unassigned slots count as room: they are preempted. Flavors in `closed` are not called. Where all flavors share
    one memory (the local pool), a ticket that does not fit blocks those after it; else a large flavor would never find
    room beside many small ones.
    """
    calls = _Calls(catalog, Room(catalog, _held(slots), memory), closed)
    return (ticket for ticket in waiting_in_order(tickets) if calls.take(ticket.flavor))


def due_ids(
    catalog: Catalog,
    queue: Iterable[tuple[str, str]],
    held: Mapping[str, int],
    memory: int | None,
    *,
    closed: Collection[str] = (),
) -> Iterator[str]:
    """`due_tickets` of ids and flavors of the waiting tickets in order, and counts of held slots by flavor."""
    calls = _Calls(catalog, Room.beside(catalog, held, memory), closed)
    return (ticket_id for ticket_id, flavor in queue if calls.take(flavor))


def flavors_for_next(
    catalog: Catalog,
    tickets: Iterable[Ticket],
    slots: Iterable[Slot],
    memory: int | None,
    *,
    closed: Collection[str] = (),
) -> set[str]:
    """The flavors that a request made now, behind all waiting tickets, would get at once."""
    calls = _Calls(catalog, Room(catalog, _held(slots), memory), closed)
    for ticket in waiting_in_order(tickets):
        calls.take(ticket.flavor)
    return {flavor.id for flavor in catalog.flavors if calls.is_due(flavor.id)}


class _Calls:
    """Requests in the order of the queue: which are due. Constant time per request and per slot."""

    def __init__(self, catalog: Catalog, room: Room, closed: Collection[str]) -> None:
        self._offered = {flavor.id: flavor for flavor in catalog.flavors if flavor.id not in closed}
        self._room = room
        self._is_blocked = False

    def take(self, flavor_id: str) -> bool:
        """Whether the next request, for this flavor, is due. One that lacks memory blocks those after it."""
        if is_due := self.is_due(flavor_id):
            self._room.take(flavor_id)
        elif flavor_id in self._offered and not self._room.is_at_limit(self._offered[flavor_id]):
            self._is_blocked = True
        return is_due

    def is_due(self, flavor_id: str) -> bool:
        """Whether a request for this flavor, made behind all that were taken, would be due."""
        flavor = self._offered.get(flavor_id)
        return flavor is not None and not self._is_blocked and self._room.left_for(flavor) >= 1


def has_room(catalog: Catalog, flavor: Flavor, held: Mapping[str, int], memory: int | None) -> bool:
    """Whether any request could get this flavor now, beside so many held slots by flavor. If not, the queue need not
    be read."""
    return Room.beside(catalog, held, memory).left_for(flavor) >= 1


def any_has_room(catalog: Catalog, held: Mapping[str, int], memory: int | None) -> bool:
    """Whether any request could get any flavor now."""
    room = Room.beside(catalog, held, memory)
    return any(room.left_for(flavor) >= 1 for flavor in catalog.flavors)


def _held(slots: Iterable[Slot]) -> Iterator[Slot]:
    return (slot for slot in slots if slot.state is not SlotState.DESTROYING and not is_unassigned(slot))
