"""Place orders and request their end: called by the hub and the desk. No cloud calls.

Spending a consent requires its one-time token, which the desk computes when the user accepts. It is not stored, shown
or logged, so a server that is started without the desk, even by an administrator, spends no consent.
"""

from __future__ import annotations

import hmac
from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from spawner.errors import LostRace, NoConsent, NotAllowed, OfferChanged
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import (
    RUNS,
    UNSETTLED,
    Binding,
    Consent,
    ConsentKind,
    Order,
    OrderChanges,
    OrderEvent,
    OrderState,
    StopReason,
)
from spawner.ledger.people import bans
from spawner.paid.accounts.binding import may_order
from spawner.paid.consent.rules import NOTHING_NEW
from spawner.paid.creation_pause import refuse_if_paused
from spawner.paid.names import name_of, order_id_of
from spawner.paid.providers.base import RemoteState

START_TOKEN = "start_token"  # noqa: S105  (the name of an option)
"""The JupyterHub start option that carries the one-time token."""
OLD_START_TOKEN = "start_word"  # noqa: S105
"""Its name up to 0.1; accepted for one release, in case the desk is upgraded after the hub."""
UNDER_WAY = (OrderState.INTENDED, *UNSETTLED, *RUNS)
NOBODY_AGREED = "The charges for this notebook have not been approved."
ON_THE_DESK = "Choose a machine type on the home page and approve the charges there."


def pop_start_token(options: MutableMapping[str, Any]) -> object:
    """Remove the one-time token from start options, so that JupyterHub does not store it. None where there is none."""
    old = options.pop(OLD_START_TOKEN, None)
    return options.pop(START_TOKEN, old)


def start_token(key: str, consent_id: str) -> str:
    """The one-time token that spends an accepted consent. `key` is the desk's secret."""
    return hmac.new(key.encode(), b"freepool paid start v1\0" + consent_id.encode(), "sha256").hexdigest()


def answer_token(key: str, consent_id: str) -> str:
    """The one-time token that the page with an offer sends with the acceptance. Only that page contains it."""
    return hmac.new(key.encode(), b"freepool paid answer v1\0" + consent_id.encode(), "sha256").hexdigest()


def begin(
    connection: Connection,
    *,
    person_id: str,
    server_name: str,
    token: str,
    key: str,
    now: datetime,
) -> Order:
    """The open order of the user's server, or else a new one, for which the user's consent is spent.

    Raises `NoConsent`, `NotAllowed`, `PaidPaused`, or `OfferChanged`.
    """
    order = orders.of_server(connection, person_id, server_name)
    if order is not None and is_wanted(order):
        return order  # a second click, or the hub has lost its record of the server
    consent = consents.accepted(connection, person_id, server_name, now=now)
    if consent is None or not hmac.compare_digest(token.encode(), start_token(key, consent.id).encode()):
        refuse_if_paused(connection)
        raise NoConsent(NOBODY_AGREED, next_step=ON_THE_DESK)
    try:
        return place(connection, person_id=person_id, server_name=server_name, now=now)
    except LostRace:
        raise OfferChanged("This has already been answered.", next_step="Check its status, or start over.") from None


def place(connection: Connection, *, person_id: str, server_name: str, now: datetime) -> Order:
    """Spend the user's consent for this server: consent SPENT and order INTENDED, both or neither.

    Raises `NoConsent` where there is none, `PaidPaused`, `NotAllowed` where the account is not linked any more or
    blocked, and `LostRace` where the server is ordered already.
    """
    refuse_if_paused(connection)
    bans.refuse_banned(connection, person_id, now=now)
    consent = consents.accepted(connection, person_id, server_name, now=now)
    if consent is None:
        raise NoConsent(NOBODY_AGREED, next_step=ON_THE_DESK)
    binding = bindings.get(connection, consent.binding_id)
    if not may_order(binding):
        raise NotAllowed(NOTHING_NEW, next_step="Check the status of the linked account.")
    consents.spend(connection, consent.id, now=now)
    order = (
        _new(connection, consent, binding, now) if consent.kind is ConsentKind.CREATE else _again(connection, consent)
    )
    audit.note(
        connection,
        order.id,
        at=now,
        by=consent.user_name,
        what="ordered",
        after=order.state,
        params={"consent": consent.id},
    )
    return order


def _new(connection: Connection, consent: Consent, binding: Binding, now: datetime) -> Order:
    order_id = order_id_of(consent)
    order = Order(
        id=order_id,
        person_id=consent.person_id,
        user_name=consent.user_name,
        user_since=consent.user_since,
        server_name=consent.server_name,
        consent_id=consent.id,
        binding_id=consent.binding_id,
        provider=consent.provider,
        region=consent.region,
        workspace=binding.workspaces.get(consent.region),
        instance_type=consent.instance_type,
        name=name_of(order_id),
        state=OrderState.INTENDED,
        created_at=now,
    )
    orders.insert_new(connection, order)
    return order


def _again(connection: Connection, consent: Consent) -> Order:
    """Reset a stopped order for another run. `stopped_at` stays until it runs: the cloud keeps counting from it."""
    order = orders.get(connection, order_id_of(consent))
    if order.state is not OrderState.STOPPED or order.delete_wanted_at is not None:
        raise LostRace("It is not stopped any more.")
    changes: OrderChanges = {
        "stop_wanted_at": None,
        "stop_wanted_by": None,
        "recovered_at": None,
        "posted_at": None,
        "asked_at": None,
        "active_at": None,
        "run_began_at": None,
        "auto_stop_set_at": None,
        "stops_at": None,
        "reason": None,
        "spent": None,
        "next_try_at": None,
        "state": OrderState.INTENDED,
        "consent_id": consent.id,
        "ran_before": order.running or 0.0,
        "tries": 0,
        "unsure": False,
    }
    orders.update_read(connection, order, changes)
    return orders.get(connection, order.id)


def want_stop(
    connection: Connection, order_id: str, *, by: str, now: datetime, reason: StopReason = StopReason.ASKED
) -> None:
    """Request a stop; the caller has checked that `by` may. Idempotent."""
    if orders.want_stop(connection, order_id, by=by, now=now, reason=reason):
        audit.note(connection, order_id, at=now, by=by, what="stop_wanted")


def want_delete(connection: Connection, order_id: str, *, person_id: str, by: str, now: datetime) -> None:
    """Request that the instance and its disk be deleted. Idempotent. Raises `NotAllowed` unless it is this person's."""
    if orders.get(connection, order_id).person_id != person_id:
        raise NotAllowed("Only the owner can delete this notebook.")
    if orders.want_delete(connection, order_id, by=by, now=now):
        audit.note(connection, order_id, at=now, by=by, what="delete_wanted")


def end(connection: Connection, *, person_id: str, server_name: str, by: str, now: datetime) -> None:
    """Request a stop because the hub ended the server. Idempotent; does nothing where there is no open order."""
    order = orders.of_server(connection, person_id, server_name)
    if order is not None and order.state in UNDER_WAY:
        want_stop(connection, order.id, by=by, now=now, reason=StopReason.HUB)


def is_wanted(order: Order) -> bool:
    """Whether it runs or will run, and no stop or delete was requested."""
    return order.state in UNDER_WAY and not order.is_unwanted


def is_over(order: Order | None) -> bool:
    """Whether the run is over. A stopping instance may still be billed, so its run is not over.

    An unwanted order whose create request may still take effect counts as over.
    """
    if order is None:
        return True
    if order.state in UNSETTLED:
        return order.is_unwanted
    return order.state not in (*UNDER_WAY, OrderState.STOPPING)


def is_open(order: Order) -> bool:
    """Whether the user can open the instance."""
    return order.state in RUNS and order.remote_state == RemoteState.RUNNING and not order.is_unwanted


@dataclass(frozen=True)
class OrderProgress:
    """An order and the events of its current run."""

    order: Order
    record: list[OrderEvent]


def read_progress(connection: Connection, order_id: str) -> OrderProgress:
    """Read an order with the events since it was last placed."""
    record = audit.record_of(connection, order_id)
    began = max((number for number, event in enumerate(record) if event.what == "ordered"), default=0)
    return OrderProgress(orders.get(connection, order_id), record[began:])
