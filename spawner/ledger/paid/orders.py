"""Orders: one row for each instance in a person's cloud, over all its runs.

What a person wants (`want_stop`, `want_delete`) is written beside what the steward writes and never in its way: a
wish needs no version, and the steward never writes a wish that is there away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError

from spawner.errors import LostRace
from spawner.ledger.engine import rows_changed
from spawner.ledger.paid.rows import OVER, BindingState, Order, OrderChanges, OrderState, StopReason
from spawner.ledger.paid.tables import bindings, orders
from spawner.ledger.transitions import change, touch


def insert_new(connection: Connection, order: Order) -> None:
    """Write a new order. `LostRace` where its server has a live one, or its id, name or consent is used already."""
    try:
        with connection.begin_nested():
            connection.execute(insert(orders).values(**vars(order)))
    except IntegrityError as error:
        raise LostRace(
            "The server {server} of {user} is ordered already.", server=order.server_name, user=order.user_name
        ) from error
    touch(connection)


def update_read(connection: Connection, order: Order, changes: OrderChanges) -> None:
    """Change a row that is still as it was read (but for wishes); else `LostRace`, and nothing is written."""
    values: dict[str, Any] = {"state": order.state, **changes}
    change(
        connection, orders, order.id, expected=(order.state,), to=values.pop("state"), version=order.version, **values
    )


def want_stop(
    connection: Connection, order_id: str, *, by: str, now: datetime, reason: StopReason = StopReason.ASKED
) -> bool:
    """Somebody wants it stopped. False where that was wanted already, or nothing runs: it would stop the next run."""
    return _want(
        connection,
        order_id,
        and_(orders.c.stop_wanted_at.is_(None), orders.c.state != OrderState.STOPPED),
        {
            "stop_wanted_at": now,
            "stop_wanted_by": by,
            "reason": func.coalesce(orders.c.reason, literal(reason, orders.c.reason.type)),
        },
    )


def want_delete(connection: Connection, order_id: str, *, by: str, now: datetime) -> bool:
    """Somebody wants it gone, disk and all. False where that was wanted already, or it is over."""
    values = {"delete_wanted_at": now, "delete_wanted_by": by}
    return _want(connection, order_id, orders.c.delete_wanted_at.is_(None), values)


def _want(connection: Connection, order_id: str, is_new: Any, values: dict[str, Any]) -> bool:
    query = update(orders).where(orders.c.id == order_id, is_new, ~_in(OVER)).values(**values)
    is_written = rows_changed(connection.execute(query)) == 1
    if is_written:
        touch(connection)
    return is_written


def due(connection: Connection, *, now: datetime, at_most: int, but: Collection[str] = ()) -> list[Order]:
    """Orders about which something may be done now; first what somebody wants ended, then who has waited longest.

    A wish that the last step did not know of is due at once, and so is what was begun after now: the clock was set
    back. Nothing is due while a call for it is under way, nor under a binding that is unlinked, nor what is in `but`.
    """
    has_gone_back = orders.c.begun_at > now
    wish = or_(
        and_(orders.c.stop_wanted_at.is_not(None), _younger(orders.c.stop_wanted_at)),
        and_(orders.c.delete_wanted_at.is_not(None), _younger(orders.c.delete_wanted_at)),
    )
    ends = or_(
        orders.c.stop_wanted_at.is_not(None),
        orders.c.delete_wanted_at.is_not(None),
        orders.c.state.in_([OrderState.STOPPING, OrderState.DELETING]),
    )
    query = (
        select(orders)
        .join(bindings, bindings.c.id == orders.c.binding_id)
        .where(
            ~_in(OVER),
            bindings.c.state != BindingState.UNLINKED,
            orders.c.id.not_in(but),
            or_(orders.c.busy_until.is_(None), orders.c.busy_until <= now, has_gone_back),
            or_(orders.c.next_try_at.is_(None), orders.c.next_try_at <= now, wish, has_gone_back),
        )
        .order_by(case((ends, 0), else_=1), orders.c.next_try_at.nulls_first(), orders.c.id)
        .limit(at_most)
    )
    return _all(connection.execute(query))


def _younger(wish: Any) -> Any:
    return or_(orders.c.begun_at.is_(None), wish >= orders.c.begun_at)


def get(connection: Connection, order_id: str) -> Order:
    """The row with this id."""
    return Order(**connection.execute(select(orders).where(orders.c.id == order_id)).one()._mapping)


def find(connection: Connection, order_id: str) -> Order | None:
    """The row with this id, if there is one."""
    row = connection.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
    return None if row is None else Order(**row._mapping)


def of_server(connection: Connection, person_id: str, server_name: str) -> Order | None:
    """The order of a person's server: the live one, else the last."""
    query = (
        select(orders)
        .where(orders.c.person_id == person_id, orders.c.server_name == server_name)
        .order_by(case((_in(OVER), 1), else_=0), orders.c.created_at.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Order(**row._mapping)


def of_person(connection: Connection, person_id: str) -> list[Order]:
    """All that a person ever had, newest first."""
    query = select(orders).where(orders.c.person_id == person_id).order_by(orders.c.created_at.desc(), orders.c.id)
    return _all(connection.execute(query))


def of_account(connection: Connection, provider: str, account_id: str) -> list[Order]:
    """All that were ever in one cloud account, whoever's binding they were made under."""
    query = (
        select(orders)
        .join(bindings, bindings.c.id == orders.c.binding_id)
        .where(bindings.c.provider == provider, bindings.c.account_id == account_id)
    )
    return _all(connection.execute(query.order_by(orders.c.created_at, orders.c.id)))


def of_binding(connection: Connection, binding_id: str) -> list[Order]:
    """All that were ever made under a binding."""
    query = select(orders).where(orders.c.binding_id == binding_id)
    return _all(connection.execute(query.order_by(orders.c.created_at, orders.c.id)))


def alive(connection: Connection) -> list[Order]:
    """Everybody's that is not over."""
    return _all(connection.execute(select(orders).where(~_in(OVER)).order_by(orders.c.created_at, orders.c.id)))


def watched_bindings(connection: Connection, *, since: datetime) -> set[str]:
    """Bindings in whose accounts something may be: by an order that is not over, or that has ended `since` then."""
    query = select(orders.c.binding_id).where(or_(~_in(OVER), orders.c.ended_at > since)).distinct()
    return set(connection.execute(query).scalars())


def _in(states: Iterable[OrderState]) -> Any:
    return orders.c.state.in_(list(states))


def _all(rows: Iterable[Row[Any]]) -> list[Order]:
    return [Order(**row._mapping) for row in rows]
