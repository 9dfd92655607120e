"""What an operator must look at: each is somebody's money, or could be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from spawner.ledger import leases
from spawner.ledger.paid import bindings, orders
from spawner.ledger.paid.rows import RUNS, UNSETTLED, Binding, Order, OrderState
from spawner.ledger.paid.tables import bindings as binding_rows
from spawner.ledger.paid.tables import consents as consent_rows
from spawner.ledger.paid.tables import orders as order_rows
from spawner.ledger.pool import admin_settings
from spawner.ledger.pool.admin_settings import AdminSetting
from spawner.paid.accounts.binding import Reach
from spawner.paid.creation_pause import NO_NEW
from spawner.paid.orders.reconciler import LEASE
from spawner.paid.providers.base import RemoteState

PATIENCE = timedelta(minutes=5)
"""After that something that should have come about is worth a look."""
TRIES = 3
KINDS: Mapping[str, str] = {
    "unreachable": "Cannot be reached: the person's role is gone, or does not let us in.",
    "switched_off": "Its cloud or region is not in the settings any more, so it is neither looked at nor stopped.",
    "unprotected": "Runs without a timer in the cloud.",
    "stop_fails": "Should be stopped, and is not yet.",
    "delete_fails": "Should be deleted, and is not yet.",
    "unknown": "Whether it was made is not known.",
    "failed": "Has failed in the cloud.",
    "strange": "Is in a state that we do not know.",
    "found": "Runs without a yes that we know of.",
}


@dataclass(frozen=True)
class Alarm:
    """One order, and which of `KINDS` it is."""

    kind: str
    order: Order


def alarms(alive: Iterable[Order], now: datetime, *, reaches: Reach) -> list[Alarm]:
    """All of them; an order may have several."""
    return [Alarm(kind, order) for order in alive for kind in KINDS if _is(kind, order, now, reaches)]


def _is(kind: str, order: Order, now: datetime, reaches: Reach) -> bool:
    match kind:
        case "unreachable":
            return order.blocked is not None
        case "switched_off":
            return not reaches(order.provider, order.region)
        case "unprotected":
            return order.state in RUNS and order.auto_stop_set_at is None and _for_long(order.active_at, now)
        case "stop_fails":
            return order.state is OrderState.STOPPING and (order.tries >= TRIES or _for_long(order.ending_since, now))
        case "delete_fails":
            return order.state is OrderState.DELETING and (order.tries >= TRIES or _for_long(order.ending_since, now))
        case "unknown":
            return order.state in UNSETTLED and _for_long(order.posted_at, now)
        case "failed":
            return order.remote_state == RemoteState.FAILED
        case "strange":
            return order.remote_state == RemoteState.UNKNOWN
        case _:
            return order.state is OrderState.RECOVERED


def _for_long(since: datetime | None, now: datetime) -> bool:
    return since is not None and now - since > PATIENCE


@dataclass(frozen=True)
class AlarmSnapshot:
    """What an operator sees of everybody's, and what the metrics are made of. Counts are by state."""

    alive: list[Order]
    linked: Mapping[str, Binding]
    paused: AdminSetting | None
    keeper_until: datetime | None
    orders: Mapping[str, int]
    bindings: Mapping[str, int]
    consents: Mapping[str, int]


def read_alarms(connection: Connection) -> AlarmSnapshot:
    """All of it, in one transaction."""
    return AlarmSnapshot(
        alive=orders.alive(connection),
        linked={one.id: one for one in bindings.linked(connection)},
        paused=admin_settings.all_of(connection).get(NO_NEW),
        keeper_until=leases.ends_at(connection, LEASE),
        orders=_count(connection, order_rows),
        bindings=_count(connection, binding_rows),
        consents=_count(connection, consent_rows),
    )


def _count(connection: Connection, table: object) -> dict[str, int]:
    state = table.c.state  # type: ignore[attr-defined]
    return {str(name): int(n) for name, n in connection.execute(select(state, func.count()).group_by(state))}
