"""The order of the queue, and whose turn it is. Pure: it looks at rows of one moment.

First come, first served; who has used the pool in the last day stands behind by a part of that time, at most by the
catalog's longest handicap. A rank is fixed when its ticket is made, so nobody is overtaken by more than those who come
within that time: nobody starves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone

from spawner.catalog import Catalog, Flavor, Queue
from spawner.ledger import Slot, SlotState, Ticket, TicketState
from spawner.pool.capacity import is_unassigned, room_for

USE_WINDOW = timedelta(days=1)
NEVER = datetime.max.replace(tzinfo=timezone.utc)


def rank(rules: Queue, *, now: datetime, used: timedelta, groups: Iterable[str] = ()) -> datetime:
    """Where somebody who comes now stands, given what they `used` in the last day. The best of their groups counts."""
    weight = max((rules.weights[group] for group in groups if group in rules.weights), default=1.0)
    behind = used.total_seconds() * rules.use_counts / weight  # of a tiny weight it may be more than a timedelta holds
    return now + timedelta(seconds=min(behind, rules.longest_handicap_minutes * 60))


def waiting_in_order(tickets: Iterable[Ticket]) -> list[Ticket]:
    """Those who wait, first the one who is served first."""
    waiting = (ticket for ticket in tickets if ticket.state is TicketState.WAITING)
    return sorted(waiting, key=lambda ticket: (ticket.rank_at, ticket.joined_at, ticket.id))


def place_of(ticket: Ticket, ordered: Sequence[Ticket]) -> int:
    """The place, from 1, among those who wait for the same flavor."""
    rivals = [other.id for other in ordered if other.flavor == ticket.flavor]
    return rivals.index(ticket.id) + 1


def due_tickets(
    catalog: Catalog,
    tickets: Iterable[Ticket],
    slots: Iterable[Slot],
    memory: int | None,
    *,
    closed: Collection[str] = (),
) -> Iterator[Ticket]:
    """Those who can have an instance now, in order.

    `slots` are all that take up room. Those on their way out count as room: whoever is called waits for them to have
    left. So do those that wait for nobody, because they give way. `closed` are flavors that cannot be had now.
    Where one memory is shared (this machine's), who does not fit holds it against all that come after, or a large
    shape would never find room beside many small ones.
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
    """Whether somebody who comes now, behind all in `line`, would be given this flavor at once."""
    *_, is_due = _turns(catalog, [*(ticket.flavor for ticket in waiting_in_order(line)), flavor], slots, memory, closed)
    return is_due


def _turns(
    catalog: Catalog, wishes: Iterable[str], slots: Iterable[Slot], memory: int | None, closed: Collection[str]
) -> Iterator[bool]:
    """For each wished flavor, in the order of the line, whether it is its turn."""
    held = _held(slots)
    offered = {flavor.id: flavor for flavor in catalog.flavors if flavor.id not in closed}
    is_held_up = False
    for wish in wishes:
        flavor = offered.get(wish)
        if flavor is None or is_held_up or _is_all_lent(flavor, held):
            yield False
        elif room_for(catalog, flavor, held, memory) < 1:
            is_held_up = True
            yield False
        else:
            held.append(planned_slot(flavor.id))
            yield True


def has_room(catalog: Catalog, flavor: Flavor, slots: Iterable[Slot], memory: int | None) -> bool:
    """Whether anybody at all could have this flavor now. Where not, the line need not be read to say no."""
    held = _held(slots)
    return not _is_all_lent(flavor, held) and room_for(catalog, flavor, held, memory) >= 1


def _held(slots: Iterable[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.state is not SlotState.DESTROYING and not is_unassigned(slot)]


def _is_all_lent(flavor: Flavor, held: Iterable[Slot]) -> bool:
    return sum(slot.flavor == flavor.id for slot in held) >= flavor.limit


def planned_slot(flavor: str) -> Slot:
    """The slot that somebody will have, for counting."""
    return Slot.planned(flavor, "", holder_id="", created_at=NEVER)
