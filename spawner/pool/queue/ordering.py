"""The order of the queue, and which tickets are due. Pure: computed from rows of one snapshot.

First come, first served, but recent use of the pool delays a ticket's rank by a part of that time, at most by the
catalog's longest handicap. A rank is fixed when its ticket is created. So a ticket is overtaken only by those created
within the handicap, and none starves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from spawner.catalog import Catalog, Flavor, Queue
from spawner.ledger import Slot, SlotState, Ticket, TicketState
from spawner.pool.capacity import is_unassigned, room_for

USE_WINDOW = timedelta(days=1)
NEVER = datetime.max.replace(tzinfo=UTC)


def rank(rules: Queue, *, now: datetime, used: timedelta, groups: Iterable[str] = ()) -> datetime:
    """The rank of a request made now, by what the user `used` in the last day. The best of the groups counts."""
    weight = max((rules.weights[group] for group in groups if group in rules.weights), default=1.0)
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
    ordered = waiting_in_order(tickets)
    cloud_locks = _turns(catalog, [ticket.flavor for ticket in ordered], slots, memory, closed)
    return (ticket for ticket, is_due in zip(ordered, cloud_locks, strict=True) if is_due)


def would_be_called(
    catalog: Catalog,
    flavor: str,
    line: Iterable[Ticket],
    slots: Iterable[Slot],
    memory: int | None,
    *,
    closed: Collection[str] = (),
) -> bool:
    """Whether a request made now, behind all tickets of `line`, would get this flavor at once."""
    *_, is_due = _turns(catalog, [*(ticket.flavor for ticket in waiting_in_order(line)), flavor], slots, memory, closed)
    return is_due


def _turns(
    catalog: Catalog, flavor_ids: Iterable[str], slots: Iterable[Slot], memory: int | None, closed: Collection[str]
) -> Iterator[bool]:
    """For each requested flavor, in the order of the queue, whether it is due."""
    held = _held(slots)
    offered = {flavor.id: flavor for flavor in catalog.flavors if flavor.id not in closed}
    is_held_up = False
    for flavor_id in flavor_ids:
        flavor = offered.get(flavor_id)
        if flavor is None or is_held_up or _is_at_limit(flavor, held):
            yield False
        elif room_for(catalog, flavor, held, memory) < 1:
            is_held_up = True
            yield False
        else:
            held.append(planned_slot(flavor.id))
            yield True


def has_room(catalog: Catalog, flavor: Flavor, slots: Iterable[Slot], memory: int | None) -> bool:
    """Whether any request could get this flavor now. If not, the queue need not be read."""
    held = _held(slots)
    return not _is_at_limit(flavor, held) and room_for(catalog, flavor, held, memory) >= 1


def _held(slots: Iterable[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.state is not SlotState.DESTROYING and not is_unassigned(slot)]


def _is_at_limit(flavor: Flavor, held: Iterable[Slot]) -> bool:
    return sum(slot.flavor == flavor.id for slot in held) >= flavor.limit


def planned_slot(flavor: str) -> Slot:
    """A slot that stands for a due ticket in the count."""
    return Slot.planned(flavor, "", holder_id="", created_at=NEVER)
