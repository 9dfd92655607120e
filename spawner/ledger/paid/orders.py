"""Orders: one row for each instance in a user's cloud account, over all its runs.

Stop and delete requests (`want_stop`, `want_delete`) have their own columns, so that they never conflict with the
steward's writes: a request needs no version, and the steward does not overwrite a pending one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from spawner.errors import LostRace
from spawner.ledger.engine import rows_changed
from spawner.ledger.paid.rows import OVER, BindingState, Order, OrderChanges, OrderState, StopReason
from spawner.ledger.paid.tables import bindings, orders
from spawner.ledger.transitions import change, touch


def insert_new(connection: Connection, order: Order) -> None:
    """Insert an order. Raises `LostRace` if its server has an open one, or its id, name or consent is used already."""
    try:
        with connection.begin_nested():
            connection.execute(insert(orders).values(**vars(order)))
    except IntegrityError as error:
        raise LostRace(
            "The server {server} of {user} is ordered already.", server=order.server_name, user=order.user_name
        ) from error
    touch(connection)


def update_read(connection: Connection, order: Order, changes: OrderChanges) -> None:
    """Change a row if its state and version are still those of `order`; else raise `LostRace` and write nothing."""
    values: dict[str, Any] = {"state": order.state, **changes}
    change(
        connection, orders, order.id, expected=(order.state,), to=values.pop("state"), version=order.version, **values
    )


def want_stop(
    connection: Connection, order_id: str, *, by: str, now: datetime, reason: StopReason = StopReason.ASKED
) -> bool:
    """Request a stop. False if one is pending, or the instance is stopped: the request would stop its next run."""
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
    """Request deletion, with its disk. False if a request is pending, or the order is closed."""
    values = {"delete_wanted_at": now, "delete_wanted_by": by}
    return _want(connection, order_id, orders.c.delete_wanted_at.is_(None), values)


def _want(connection: Connection, order_id: str, is_new: Any, values: dict[str, Any]) -> bool:
    query = update(orders).where(orders.c.id == order_id, is_new, ~_in(OVER)).values(**values)
    is_written = rows_changed(connection.execute(query)) == 1
    if is_written:
        touch(connection)
    return is_written


def due(connection: Connection, *, now: datetime, at_most: int, but: Collection[str] = ()) -> list[Order]:
    """Orders whose next step is due: first those to be stopped or deleted, then the longest due.

    A stop or delete request made since the last step is due at once, and so is an order with `begun_at` after `now`:
    the clock was set back. Not due: orders with a call under way, of unlinked bindings, or with an id in `but`.
    """
    return _all(connection.execute(DUE, {"now": now, "but": list(but), "at_most": at_most}))


def _is_since_last_step(requested_at: Any) -> Any:
    return or_(orders.c.begun_at.is_(None), requested_at >= orders.c.begun_at)


def get(connection: Connection, order_id: str) -> Order:
    """The row with this id."""
    return Order(**connection.execute(select(orders).where(orders.c.id == order_id)).one()._mapping)


def find(connection: Connection, order_id: str) -> Order | None:
    """The row with this id, if there is one."""
    row = connection.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
    return None if row is None else Order(**row._mapping)


def of_server(connection: Connection, person_id: str, server_name: str) -> Order | None:
    """The order of a person's server: the open one, else the latest."""
    query = (
        select(orders)
        .where(orders.c.person_id == person_id, orders.c.server_name == server_name)
        .order_by(case((_in(OVER), 1), else_=0), orders.c.created_at.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Order(**row._mapping)


def of_person(connection: Connection, person_id: str) -> list[Order]:
    """All orders of a person, newest first."""
    query = select(orders).where(orders.c.person_id == person_id).order_by(orders.c.created_at.desc(), orders.c.id)
    return _all(connection.execute(query))


def of_account(connection: Connection, provider: str, account_id: str) -> list[Order]:
    """All orders in a cloud account, under the bindings of all users."""
    query = (
        select(orders)
        .join(bindings, bindings.c.id == orders.c.binding_id)
        .where(bindings.c.provider == provider, bindings.c.account_id == account_id)
    )
    return _all(connection.execute(query.order_by(orders.c.created_at, orders.c.id)))


def of_binding(connection: Connection, binding_id: str) -> list[Order]:
    """All orders of a binding."""
    query = select(orders).where(orders.c.binding_id == binding_id)
    return _all(connection.execute(query.order_by(orders.c.created_at, orders.c.id)))


def alive(connection: Connection) -> list[Order]:
    """All users' orders that are not closed."""
    return _all(connection.execute(select(orders).where(~_in(OVER)).order_by(orders.c.created_at, orders.c.id)))


def watched_bindings(connection: Connection, *, since: datetime) -> set[str]:
    """Ids of bindings whose accounts may contain instances: with an order that is open, or was closed `since` then."""
    return set(connection.execute(WATCHED, {"since": since}).scalars())


def _in(states: Iterable[OrderState]) -> Any:
    return orders.c.state.in_(list(states))


def _all(rows: Iterable[Row[Any]]) -> list[Order]:
    return [Order(**row._mapping) for row in rows]


def _due() -> Select[Any]:
    now = bindparam("now", type_=orders.c.begun_at.type)
    has_gone_back = orders.c.begun_at > now
    has_new_request = or_(
        and_(orders.c.stop_wanted_at.is_not(None), _is_since_last_step(orders.c.stop_wanted_at)),
        and_(orders.c.delete_wanted_at.is_not(None), _is_since_last_step(orders.c.delete_wanted_at)),
    )
    ends = or_(
        orders.c.stop_wanted_at.is_not(None),
        orders.c.delete_wanted_at.is_not(None),
        orders.c.state.in_([OrderState.STOPPING, OrderState.DELETING]),
    )
    return (
        select(orders)
        .join(bindings, bindings.c.id == orders.c.binding_id)
        .where(
            ~_in(OVER),
            bindings.c.state != BindingState.UNLINKED,
            orders.c.id.not_in(bindparam("but", expanding=True)),
            or_(orders.c.busy_until.is_(None), orders.c.busy_until <= now, has_gone_back),
            or_(orders.c.next_try_at.is_(None), orders.c.next_try_at <= now, has_new_request, has_gone_back),
        )
        .order_by(case((ends, 0), else_=1), orders.c.next_try_at.nulls_first(), orders.c.id)
        .limit(bindparam("at_most", type_=Integer))
    )


# Built once: the steward executes them every second.
DUE = _due()
WATCHED = (
    select(orders.c.binding_id)
    .where(or_(~_in(OVER), orders.c.ended_at > bindparam("since", type_=orders.c.ended_at.type)))
    .distinct()
)
