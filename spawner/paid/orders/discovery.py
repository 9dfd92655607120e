"""Compare the instances listed in a cloud account with the ledger.

The cloud is listed before the ledger is read. An order is written before its instance is created, so an instance that
the ledger does not know is not one that is just being created.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.errors import LostRace
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import (
    OVER,
    RUNS,
    Binding,
    BindingState,
    Block,
    ConsentState,
    NoticeKind,
    Order,
    OrderChanges,
    OrderState,
    StopReason,
)
from spawner.paid.accounts.binding import account_of
from spawner.paid.names import consent_id_of, discovered_server_name
from spawner.paid.orders.executor import STEWARD, block, execute_action, read_snapshot
from spawner.paid.orders.observation import ALIVE
from spawner.paid.orders.policy import DESCRIBE
from spawner.paid.orders.updates import FREEPOOL, notice
from spawner.paid.paid import BINDING_LABEL, HUB_LABEL, ORDER_LABEL, Paid
from spawner.paid.providers.base import RemoteInstance, RemoteState

log = logging.getLogger("freepool.paid")
LISTED_STATES = (*RUNS, OrderState.STOPPING, OrderState.STOPPED)
"""States in which a listing must show an instance."""
ORDER_ID = re.compile(r"[0-9a-f]{8,32}")


@dataclass(frozen=True)
class _AccountListing:
    """All instances with this installation's label in one region of an account. `began`: time of the list call."""

    binding: Binding
    region: str
    remotes: Sequence[RemoteInstance]
    began: datetime


async def discover(paid: Paid, binding: Binding, region: str) -> None:
    """List one region of an account and compare it with the ledger. Raises `ProviderError` where listing fails."""
    provider = paid.providers[binding.provider]
    began = paid.now()
    remotes = await provider.owned(account_of(binding, region), {HUB_LABEL: paid.hub_label})
    missing = await paid.ledger.awrite(_compare, paid, _AccountListing(binding, region, remotes, began))
    for order_id in missing:
        snapshot = await paid.ledger.aread(read_snapshot, order_id, has_discovered=False, now=paid.now())
        try:
            update = await execute_action(paid, provider, snapshot, DESCRIBE)
        except LostRace:
            continue  # another step is under way; the next discovery compares again
        if update.changes.get("remote_state") not in (None, RemoteState.DELETING):
            await paid.ledger.awrite(_block_incomplete_listing, order_id, now=paid.now())


def lose_access(connection: Connection, binding_id: str, *, now: datetime) -> None:
    """Block the binding: its role is gone, or denies list calls."""
    block(connection, binding_id, Block.AUTH_LOST, now=now)


def is_lost(binding: Binding) -> bool:
    """Whether the last access with this role was denied."""
    return binding.state is BindingState.BLOCKED and binding.blocked is Block.AUTH_LOST


def regain_access(connection: Connection, binding_id: str, *, seen_at: datetime) -> None:
    """Unblock the binding if every region was listed after access was lost (`seen_at`) and no order is still denied."""
    binding = bindings.get(connection, binding_id)
    if not is_lost(binding) or (binding.blocked_at is not None and seen_at <= binding.blocked_at):
        return
    orders_of_binding = orders.of_binding(connection, binding_id)
    if not any(order.blocked is Block.AUTH_LOST and order.state not in OVER for order in orders_of_binding):
        bindings.unblock(connection, binding_id)


def _compare(connection: Connection, paid: Paid, listing: _AccountListing) -> list[str]:
    """Apply a listing to the ledger. Returns the ids of orders that it should contain and does not."""
    binding = bindings.get(connection, listing.binding.id)
    known = [
        order
        for order in orders.of_account(connection, binding.provider, binding.account_id)
        if order.region == listing.region
    ]
    for remote, order in _matches(known, listing.remotes):
        try:
            with connection.begin_nested():
                _apply_remote(connection, paid, listing, binding, order, remote)
        except LostRace as error:  # one inconsistent row must not hide the others
            log.error("%s in the account of binding %s: %s", remote.id, binding.id, error.message)
    return [order.id for order in known if _is_missing(order, binding, listing, paid)]


def _matches(
    known: Sequence[Order], remotes: Sequence[RemoteInstance]
) -> Iterator[tuple[RemoteInstance, Order | None]]:
    """Each instance with its order, None where the ledger has none.

    A name matches only orders without a cloud id: the same name with another id is another instance.
    """
    by_id = {order.remote_id: order for order in known if order.remote_id is not None}
    by_name = {order.name: order for order in known if order.remote_id is None}
    for remote in remotes:
        yield remote, by_id.get(remote.id) or by_name.get(remote.name)


def _is_missing(order: Order, binding: Binding, listing: _AccountListing, paid: Paid) -> bool:
    """Whether the listing should contain the order's instance, and does not.

    A listing may lag behind for `seen_within`, and says nothing about an order with a call under way.
    """
    must_be_listed_since = listing.began - timedelta(seconds=paid.rules.seen_within)
    return (
        order.binding_id == binding.id
        and order.state in LISTED_STATES
        and order.remote_id not in {remote.id for remote in listing.remotes}
        and (order.active_at or order.created_at) < must_be_listed_since
        and (order.busy_until is None or order.busy_until <= paid.now())
    )


def _apply_remote(
    connection: Connection,
    paid: Paid,
    listing: _AccountListing,
    binding: Binding,
    order: Order | None,
    remote: RemoteInstance,
) -> None:
    now = paid.now()
    if order is None:
        if not _belongs_to_other_binding(connection, binding, remote):
            _recover(connection, paid, binding, remote, now)
    elif _belongs_to_binding(connection, order, binding):
        if order.state in OVER:
            _revive(connection, paid, order, binding, remote, listing.began)
        elif order.binding_id != binding.id:
            orders.update_read(connection, order, {"binding_id": binding.id})
        elif order.state is OrderState.STOPPED and remote.state in ALIVE and order.busy_until is None:
            orders.update_read(connection, order, {"next_try_at": now})  # do not wait for the slow poll of STOPPED


def _belongs_to_other_binding(connection: Connection, binding: Binding, remote: RemoteInstance) -> bool:
    """Whether its label names another linked binding of the same account: that binding's discovery records it."""
    other = remote.labels.get(BINDING_LABEL)
    return other != binding.id and any(
        candidate.id == other and (candidate.provider, candidate.account_id) == (binding.provider, binding.account_id)
        for candidate in bindings.linked(connection)
    )


def _belongs_to_binding(connection: Connection, order: Order, binding: Binding) -> bool:
    """Whether the order was made under this binding, or under an unlinked one of the same user."""
    if order.binding_id == binding.id:
        return True
    previous = bindings.get(connection, order.binding_id)
    return previous.state is BindingState.UNLINKED and order.person_id == binding.person_id


def _recover(connection: Connection, paid: Paid, binding: Binding, remote: RemoteInstance, now: datetime) -> None:
    """Record a labelled instance that the ledger does not know. It gets an auto-stop and its user a notice; it is never
    deleted."""
    order_id = _labelled_id(connection, binding, remote, now) or paid.new_id()
    is_stopped = remote.state is RemoteState.STOPPED
    order = Order(
        id=order_id,
        person_id=binding.person_id,
        user_name=binding.user_name,
        user_since=binding.user_since,
        server_name=discovered_server_name(remote.id),
        consent_id=None,
        binding_id=binding.id,
        provider=binding.provider,
        region=remote.region,
        instance_type=remote.instance_type,
        name=remote.name,
        state=OrderState.STOPPED if is_stopped else OrderState.RECOVERED,
        created_at=now,
        remote_id=remote.id,
        active_at=now,
        recovered_at=now,
        stopped_at=now if is_stopped else None,
        seen_at=now,
        remote_state=remote.state,
        raw_state=remote.raw_state,
        running=remote.running,
        ran_before=remote.running or 0.0,
    )
    orders.insert_new(connection, order)
    _record_recovery(connection, order, remote, now, before="")


def _labelled_id(connection: Connection, binding: Binding, remote: RemoteInstance, now: datetime) -> str | None:
    """The order id in its label, if no order has that id and its consent is of this binding. Spends that consent."""
    order_id = remote.labels.get(ORDER_LABEL, "")
    if ORDER_ID.fullmatch(order_id) is None or orders.find(connection, order_id) is not None:
        return None
    consent = consents.find(connection, consent_id_of(order_id))
    if consent is not None and consent.binding_id != binding.id:
        return None  # users can write any label in their own accounts
    if consent is not None and consent.state is ConsentState.ACCEPTED:
        consents.spend(connection, consent.id, now=now)
    return order_id


def _revive(
    connection: Connection, paid: Paid, order: Order, binding: Binding, remote: RemoteInstance, began: datetime
) -> None:
    """Reopen an order that was closed although its instance exists. `began`: when the listing was requested."""
    now = paid.now()
    is_fresh = order.ended_at is not None and began - order.ended_at < timedelta(seconds=paid.rules.seen_within)
    was_unlinked = order.reason is StopReason.UNLINKED  # the instance was not gone when the order was closed
    if remote.state is RemoteState.DELETING or (is_fresh and remote.id == order.remote_id and not was_unlinked):
        return  # listings still show deleted instances for a while
    is_stopped = remote.state is RemoteState.STOPPED
    changes: OrderChanges = {
        "state": OrderState.STOPPED if is_stopped else OrderState.RECOVERED,
        "stopped_at": (order.stopped_at or now) if is_stopped else None,
        "binding_id": binding.id,
        "remote_id": remote.id,
        "consent_id": None,
        "recovered_at": now,
        "active_at": now,
        "ended_at": None,
        "auto_stop_set_at": None,
        "run_began_at": None,
        "ran_before": remote.running or 0.0,
        "running": remote.running,
        "remote_state": remote.state,
        "raw_state": remote.raw_state,
        "reason": None,
        "unsure": False,
        "tries": 0,
        "next_try_at": now,
        "busy_until": None,
        "stop_wanted_at": None,
        "stop_wanted_by": None,
        "delete_wanted_at": None,
        "delete_wanted_by": None,
        "server_name": discovered_server_name(remote.id),
    }
    orders.update_read(connection, order, changes)
    _record_recovery(connection, replace(order, **changes), remote, now, before=order.state)


def _record_recovery(
    connection: Connection, order: Order, remote: RemoteInstance, now: datetime, *, before: str
) -> None:
    log.warning("order %s was discovered in the cloud as %s", order.id, remote.raw_state)
    params = {"remote": remote.id, "raw": remote.raw_state}
    audit.note(
        connection, order.id, at=now, by=STEWARD, what="recovered", before=before, after=order.state, params=params
    )
    recovered = notice(NoticeKind.RECOVERED, order, **params)
    audit.tell(
        connection, order, recovered.kind, occasion=recovered.occasion, at=now,
        order_id=order.id, binding_id=order.binding_id, params=recovered.params,
    )  # fmt: skip


def _block_incomplete_listing(connection: Connection, order_id: str, *, now: datetime) -> None:
    """The instance exists but the list omits it. Stop it and block the binding: lost orders could not be recovered."""
    order = orders.get(connection, order_id)
    block(connection, order.binding_id, Block.LIST_BLIND, now=now)
    if order.state in RUNS and orders.want_stop(
        connection, order_id, by=FREEPOOL, now=now, reason=StopReason.LIST_BLIND
    ):
        audit.note(connection, order_id, at=now, by=STEWARD, what="stop_wanted", params={"reason": "list_blind"})
