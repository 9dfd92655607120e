"""Queries of tickets.

Frequent statements are built once, at import: building one takes longer than running it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, tuple_, union, update

from spawner.errors import LostRace
from spawner.ledger.engine import rows_changed
from spawner.ledger.pool.rows import OPEN, Ticket, TicketState
from spawner.ledger.pool.tables import IS_OPEN, IS_UNCOLLECTED, tickets
from spawner.ledger.records import columns_of
from spawner.ledger.transitions import change, ended_before, touch


class _Changes(TypedDict, total=False):
    """Columns that change together with the state."""

    called_at: datetime | None
    hold_until: datetime | None
    instance_id: str | None
    collected_at: datetime | None
    ended_at: datetime
    tries: ColumnElement[int]
    ends_by: datetime | None
    detail: str | None


def _change(
    connection: Connection,
    row_id: str,
    *,
    expected: Iterable[TicketState],
    to: TicketState,
    **values: Unpack[_Changes],
) -> None:
    change(connection, tickets, row_id, expected=expected, to=to, **values)


OVER = (TicketState.SERVED, TicketState.CANCELLED, TicketState.EXPIRED, TicketState.FAILED)


def _in(states: Iterable[TicketState]) -> Any:
    return tickets.c.state.in_(list(states))


_ORDER = (tickets.c.rank_at, tickets.c.joined_at, tickets.c.id)
_JOIN = insert(tickets)
_ROWS = select(*columns_of(tickets, Ticket))
_ALIVE = _ROWS.where(IS_OPEN).order_by(*_ORDER)
_IS_OF = tickets.c.person_id == bindparam("of")
_ALIVE_OF = _ROWS.where(_in(OPEN), _IS_OF).order_by(*_ORDER)
_IS_WAITING = (IS_OPEN, tickets.c.state == TicketState.WAITING)
_WAITING = select(tickets.c.id, tickets.c.flavor).where(*_IS_WAITING).order_by(*_ORDER)
_IN_LINE = select(func.count()).where(
    IS_OPEN, tickets.c.flavor == bindparam("of"), tickets.c.state == TicketState.WAITING
)
_IS_BEFORE = tuple_(*_ORDER) < tuple_(*(bindparam(column.name, type_=column.type) for column in _ORDER))
_AHEAD = _IN_LINE.where(_IS_BEFORE)
_BEFORE = select(func.count()).where(*_IS_WAITING, _IS_BEFORE)
_LAST_OVER = (
    select(tickets)
    .where(tickets.c.person_id == bindparam("of"), _in(OVER))
    .order_by(tickets.c.ended_at.desc())
    .limit(1)
)


def join(connection: Connection, ticket: Ticket) -> Ticket:
    """Write a new ticket. Raises `IntegrityError` if its user has a waiting one: check first."""
    connection.execute(_JOIN, vars(ticket))
    touch(connection)
    return ticket


def call(connection: Connection, ticket_id: str, *, now: datetime, hold_until: datetime) -> None:
    """WAITING to CALLED. The caller reserves a slot in the same transaction."""
    _change(
        connection,
        ticket_id,
        expected=(TicketState.WAITING,),
        to=TicketState.CALLED,
        called_at=now,
        hold_until=hold_until,
    )


def begin(connection: Connection, ticket_id: str, *, instance_id: str) -> None:
    """Set the instance of a CALLED ticket: its start has begun."""
    _change(connection, ticket_id, expected=(TicketState.CALLED,), to=TicketState.CALLED, instance_id=instance_id)


def serve(connection: Connection, instance_id: str, *, now: datetime) -> None:
    """CALLED to SERVED, for the ticket of an instance that now runs. Does nothing if it has none."""
    connection.execute(
        update(tickets)
        .where(tickets.c.instance_id == instance_id, tickets.c.state == TicketState.CALLED)
        .values(state=TicketState.SERVED, served_at=now, ended_at=now)
    )


def put_back(connection: Connection, ticket_id: str, *, has_failed: bool) -> None:
    """CALLED to WAITING at its old place: its reserved slot was lost, or (`has_failed`) its start failed.

    `collected_at` and `ends_by` are cleared.
    """
    _change(
        connection,
        ticket_id,
        expected=(TicketState.CALLED,),
        to=TicketState.WAITING,
        called_at=None,
        hold_until=None,
        instance_id=None,
        collected_at=None,
        ends_by=None,
        tries=tickets.c.tries + int(has_failed),
    )


def close(
    connection: Connection, ticket_id: str, state: TicketState, *, now: datetime, detail: str | None = None
) -> None:
    """An open ticket to CANCELLED, EXPIRED or FAILED."""
    _change(connection, ticket_id, expected=OPEN, to=state, ended_at=now, detail=detail)


def close_of_instance(connection: Connection, instance_id: str, *, now: datetime) -> None:
    """Cancel the ticket of a start that its user cancelled. Does nothing if it has none."""
    connection.execute(
        update(tickets)
        .where(tickets.c.instance_id == instance_id, tickets.c.state == TicketState.CALLED)
        .values(state=TicketState.CANCELLED, ended_at=now)
    )


def collect(connection: Connection, ticket_id: str, *, now: datetime) -> None:
    """Note that the user opened the instance. Raises `LostRace` if that was noted before."""
    result = connection.execute(
        update(tickets).where(tickets.c.id == ticket_id, tickets.c.collected_at.is_(None)).values(collected_at=now)
    )
    if rows_changed(result) != 1:
        raise LostRace("The ticket {ticket} was collected already.", ticket=ticket_id)
    touch(connection)


def get(connection: Connection, ticket_id: str) -> Ticket:
    """The row with this id."""
    return Ticket(**connection.execute(select(tickets).where(tickets.c.id == ticket_id)).one()._mapping)


def is_called(connection: Connection, ticket_id: str) -> bool:
    """Whether a ticket is called and its start has not begun. False for an unknown id."""
    query = select(tickets.c.id).where(
        tickets.c.id == ticket_id, tickets.c.state == TicketState.CALLED, tickets.c.instance_id.is_(None)
    )
    return connection.execute(query).scalar() is not None


def of_instance(connection: Connection, instance_id: str) -> Ticket | None:
    """The ticket of an instance."""
    row = connection.execute(select(tickets).where(tickets.c.instance_id == instance_id)).one_or_none()
    return None if row is None else Ticket(**row._mapping)


def alive(connection: Connection, person_id: str | None = None) -> list[Ticket]:
    """Open tickets in the order of the queue, of one person if named."""
    rows = connection.execute(_ALIVE) if person_id is None else connection.execute(_ALIVE_OF, {"of": person_id})
    return [Ticket(*row) for row in rows]


def in_line(connection: Connection, flavor: str) -> int:
    """The number of tickets that wait for a flavor."""
    return int(connection.execute(_IN_LINE, {"of": flavor}).scalar_one())


def ahead(connection: Connection, ticket: Ticket) -> int:
    """The number of tickets of the same flavor before this one, which need not be written yet."""
    return int(connection.execute(_AHEAD, {"of": ticket.flavor, **_rank(ticket)}).scalar_one())


def before(connection: Connection, ticket: Ticket) -> int:
    """The number of waiting tickets of all flavors before this one, which need not be written yet."""
    return int(connection.execute(_BEFORE, _rank(ticket)).scalar_one())


def _rank(ticket: Ticket) -> dict[str, Any]:
    return {column.name: getattr(ticket, column.name) for column in _ORDER}


def waiting(connection: Connection) -> list[tuple[str, str]]:
    """Id and flavor of each waiting ticket, in the order of the queue."""
    return [(ticket_id, flavor) for ticket_id, flavor in connection.execute(_WAITING)]


def uncollected(connection: Connection) -> list[Ticket]:
    """Tickets that waited, and whose instance runs and was not opened by its user yet.

    Who got a slot at once is not among them: it was never "their turn", and idle rules end what they leave.
    """
    query = select(tickets).where(IS_UNCOLLECTED, tickets.c.called_at != tickets.c.joined_at)
    query = query.order_by(tickets.c.served_at)
    return [Ticket(**row._mapping) for row in connection.execute(query)]


def untold(connection: Connection, *, since: datetime) -> list[Ticket]:
    """Tickets that waited, were called since then, and were not yet sent to the administrator's webhook."""
    query = select(tickets).where(
        _in((TicketState.CALLED, TicketState.SERVED)),
        tickets.c.called_at > tickets.c.joined_at,
        tickets.c.called_at >= since,
        tickets.c.told_at.is_(None),
    )
    return [Ticket(**row._mapping) for row in connection.execute(query.order_by(tickets.c.called_at))]


def note_told(connection: Connection, ticket_id: str, *, now: datetime) -> None:
    """The webhook was called. No page shows it, so the revision stays."""
    connection.execute(update(tickets).where(tickets.c.id == ticket_id).values(told_at=now))


def last_over(connection: Connection, person_id: str) -> Ticket | None:
    """This person's ticket that ended last."""
    row = connection.execute(_LAST_OVER, {"of": person_id}).one_or_none()
    return None if row is None else Ticket(**row._mapping)


def since(connection: Connection, moment: datetime) -> list[Ticket]:
    """Tickets that joined since then, oldest first."""
    rows = connection.execute(select(tickets).where(tickets.c.joined_at >= moment).order_by(tickets.c.joined_at))
    return [Ticket(**row._mapping) for row in rows]


def arrivals(connection: Connection, moment: datetime) -> list[tuple[str, str, datetime]]:
    """Flavor, image and `joined_at` of the tickets that joined since then, oldest first."""
    columns = (tickets.c.flavor, tickets.c.image, tickets.c.joined_at)
    query = select(*columns).where(tickets.c.joined_at >= moment).order_by(tickets.c.joined_at)
    return [(flavor, image, joined_at) for flavor, image, joined_at in connection.execute(query)]


def waits(connection: Connection, flavor: str, *, since: datetime, at_most: int) -> list[tuple[float, float]]:
    """Pairs of estimated and actual wait in seconds, for called tickets that joined since then, newest first.

    The estimate is the centre of the stored range.
    """
    rows = connection.execute(
        select(tickets.c.expected_low, tickets.c.expected_high, tickets.c.joined_at, tickets.c.called_at)
        .where(
            tickets.c.flavor == flavor,
            tickets.c.joined_at >= since,
            tickets.c.called_at.is_not(None),
            tickets.c.expected_low.is_not(None),
        )
        .order_by(tickets.c.joined_at.desc())
        .limit(at_most)
    )
    return [((low + high) / 2, (called - joined).total_seconds()) for low, high, joined, called in rows]


def concerning(connection: Connection, moment: datetime) -> list[Ticket]:
    """Tickets that joined, were called or ended since then, and open ones; oldest first.

    Each is open or ended since then: an end is the last that happens to a ticket. `UNION` reads an index for each
    part, where databases read all rows for an `OR`.
    """
    found = union(_ROWS.where(tickets.c.ended_at >= moment), _ROWS.where(IS_OPEN))
    rows = connection.execute(found.order_by(found.selected_columns.joined_at, found.selected_columns.id))
    return [Ticket(*row) for row in rows]


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete tickets that ended before a time, at most `PRUNED_AT_ONCE`. Returns how many."""
    ids = ended_before(connection, tickets, before)
    return connection.execute(delete(tickets).where(tickets.c.id.in_(ids))).rowcount
