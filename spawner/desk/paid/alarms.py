"""Paid instances that an administrator must look at, because they cost or may cost a user money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

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
"""How long a change may take before it is an alarm."""
TRIES = 3
BILLED = (*RUNS, OrderState.STOPPING)
"""States in which the cloud may bill by the hour."""
KINDS: Mapping[str, str] = {
    "unreachable": "Cannot be reached: the user's role was deleted or changed.",
    "switched_off": "Its cloud or region was removed from the settings, so Freepool no longer monitors or stops it.",
    "unprotected": "Running without an auto-stop timer in the cloud.",
    "stop_fails": "Waiting to be stopped.",
    "delete_fails": "Waiting to be deleted.",
    "unknown": "Unknown whether it was created.",
    "failed": "Failed in the cloud.",
    "strange": "Unknown state.",
    "found": "Running without a recorded approval.",
    "over_cap": "Its estimated cost is above the cap, and it is not stopped.",
}


@dataclass(frozen=True)
class Alarm:
    """`kind` is a key of `KINDS`."""

    kind: str
    order: Order


def alarms(
    alive: Iterable[Order], now: datetime, *, reaches: Reach, caps: Mapping[str, str] | None = None
) -> list[Alarm]:
    """The alarms of these orders; an order may have several. `caps`: see `AlarmSnapshot`."""
    return [Alarm(kind, order) for order in alive for kind in KINDS if _is(kind, order, now, reaches, caps or {})]


def _is(kind: str, order: Order, now: datetime, reaches: Reach, caps: Mapping[str, str]) -> bool:
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
        case "over_cap":
            return order.state in BILLED and _is_above(order.spent, caps.get(order.consent_id or ""))
        case _:
            return order.state is OrderState.RECOVERED


def _is_above(spent: str | None, cap: str | None) -> bool:
    return spent is not None and cap is not None and Decimal(spent) > Decimal(cap)


def _for_long(since: datetime | None, now: datetime) -> bool:
    return since is not None and now - since > PATIENCE


@dataclass(frozen=True)
class AlarmSnapshot:
    """The rows of all users for the administrator's page and the metrics. Counts are by state.

    `lease_ends_at` is the end of the reconciler's lease. `caps`: of the consents that instances run under now, by id.
    """

    alive: list[Order]
    linked: Mapping[str, Binding]
    paused: AdminSetting | None
    lease_ends_at: datetime | None
    orders: Mapping[str, int]
    bindings: Mapping[str, int]
    consents: Mapping[str, int]
    caps: Mapping[str, str] = field(default_factory=dict)

    def unseen_seconds(self, now: datetime) -> float:
        """Age of the oldest observation of an instance that may be billed; 0: there is none."""
        seen = [order.seen_at or order.posted_at or order.created_at for order in self.alive if order.state in BILLED]
        return max(((now - at).total_seconds() for at in seen), default=0.0)


def read_alarms(connection: Connection) -> AlarmSnapshot:
    """Read it in the transaction of `connection`."""
    alive = orders.alive(connection)
    return AlarmSnapshot(
        alive=alive,
        linked={binding.id: binding for binding in bindings.linked(connection)},
        paused=admin_settings.all_of(connection).get(NO_NEW),
        lease_ends_at=leases.ends_at(connection, LEASE),
        orders=_count(connection, order_rows),
        bindings=_count(connection, binding_rows),
        consents=_count(connection, consent_rows),
        caps=_caps(connection, [order for order in alive if order.state in BILLED]),
    )


def _caps(connection: Connection, running: Iterable[Order]) -> dict[str, str]:
    ids = [order.consent_id for order in running if order.consent_id is not None]
    query = select(consent_rows.c.id, consent_rows.c.cap).where(consent_rows.c.id.in_(ids))
    return {str(name): str(cap) for name, cap in connection.execute(query)} if ids else {}


def _count(connection: Connection, table: object) -> dict[str, int]:
    state = table.c.state  # type: ignore[attr-defined]
    return {str(name): int(n) for name, n in connection.execute(select(state, func.count()).group_by(state))}
