"""Looking through a whole account: what is ours there and not in the ledger, and what the list does not show.

The cloud is asked first and the ledger read afterwards: what is about to be made is in the ledger before it is in the
cloud, so what is found and not known there is truly nobody's.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
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
    """One listing: where, what, and when it was begun."""

    binding: Binding
    region: str
    remotes: Sequence[RemoteInstance]
    began: datetime


async def discover(paid: Paid, binding: Binding, region: str) -> None:
    """Compare one region of an account with the ledger. Raises `ProviderError` where it cannot be listed."""
    provider = paid.providers[binding.provider]
    began = paid.now()
    remotes = await provider.owned(account_of(binding, region), {HUB_LABEL: paid.hub_label})
    missing = await paid.ledger.awrite(_compare, paid, _AccountListing(binding, region, remotes, began))
    for order_id in missing:
        snapshot = await paid.ledger.aread(read_snapshot, order_id, has_discovered=False, now=paid.now())
        try:
            done = await execute_action(paid, provider, snapshot, DESCRIBE)
        except LostRace:
            continue  # somebody is at it just now: the next look will tell
        if done.changes.get("remote_state") not in (None, RemoteState.DELETING):
            await paid.ledger.awrite(_block_incomplete_listing, order_id, now=paid.now())


def lose_access(connection: Connection, binding_id: str, *, now: datetime) -> None:
    """The role is gone, or does not let us look any more."""
    block(connection, binding_id, Block.AUTH_LOST, now=now)


def is_lost(binding: Binding) -> bool:
    """Whether we could not get in when we last tried."""
    return binding.state is BindingState.BLOCKED and binding.blocked is Block.AUTH_LOST


def regain_access(connection: Connection, binding_id: str, *, seen_at: datetime) -> None:
    """Allow new ones again, where every region was seen after access was lost and nothing there is refused to us."""
    binding = bindings.get(connection, binding_id)
    if not is_lost(binding) or (binding.blocked_at is not None and seen_at <= binding.blocked_at):
        return
    orders_of_binding = orders.of_binding(connection, binding_id)
    if not any(order.blocked is Block.AUTH_LOST and order.state not in OVER for order in orders_of_binding):
        bindings.unblock(connection, binding_id)


def _compare(connection: Connection, paid: Paid, listing: _AccountListing) -> list[str]:
    """Take in what the ledger did not know. Returns the orders that the list ought to have shown and did not."""
    now = paid.now()
    binding = bindings.get(connection, listing.binding.id)
    known = [
        order
        for order in orders.of_account(connection, binding.provider, binding.account_id)
        if order.region == listing.region
    ]
    by_id = {order.remote_id: order for order in known if order.remote_id is not None}
    # A name tells only of what has no id yet: what bears it and is another instance is another order.
    by_name = {order.name: order for order in known if order.remote_id is None}
    for remote in listing.remotes:
        order = by_id.get(remote.id) or by_name.get(remote.name)
        try:
            with connection.begin_nested():
                _apply_remote(connection, paid, listing, binding, order, remote)
        except LostRace as error:  # one row that is not as it should be hides none of the others
            log.error("%s in the account of binding %s: %s", remote.id, binding.id, error.message)
    listed = {remote.id for remote in listing.remotes}
    is_final = listing.began - timedelta(seconds=paid.rules.seen_within)
    return [
        order.id
        for order in known
        if order.binding_id == binding.id
        and order.state in LISTED_STATES
        and order.remote_id not in listed
        and (order.active_at or order.created_at) < is_final
        and (order.busy_until is None or order.busy_until <= now)
    ]


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
            orders.update_read(connection, order, {"next_try_at": now})  # what is stopped is looked at seldom


def _belongs_to_other_binding(connection: Connection, binding: Binding, remote: RemoteInstance) -> bool:
    """Whether it was made under another link to the same account that still stands: then that one takes it in."""
    other = remote.labels.get(BINDING_LABEL)
    return other != binding.id and any(
        one.id == other and (one.provider, one.account_id) == (binding.provider, binding.account_id)
        for one in bindings.linked(connection)
    )


def _belongs_to_binding(connection: Connection, order: Order, binding: Binding) -> bool:
    """Whether an order is this link's: made under it, or under one of the same person that is gone."""
    if order.binding_id == binding.id:
        return True
    was_under = bindings.get(connection, order.binding_id)
    return was_under.state is BindingState.UNLINKED and order.user_name == binding.user_name


def _recover(connection: Connection, paid: Paid, binding: Binding, remote: RemoteInstance, now: datetime) -> None:
    """Something of ours that the ledger does not know: it gets a timer, and its person is told. It is never deleted."""
    order_id = _labelled_id(connection, binding, remote, now) or paid.new_id()
    is_stopped = remote.state is RemoteState.STOPPED
    order = Order(
        id=order_id,
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
    """The id that it was ordered by, where a lost order of this very account had it. Its consent is used up."""
    named = remote.labels.get(ORDER_LABEL, "")
    if ORDER_ID.fullmatch(named) is None or orders.find(connection, named) is not None:
        return None
    consent = consents.find(connection, consent_id_of(named))
    if consent is not None and consent.binding_id != binding.id:
        return None  # labels are anybody's to write
    if consent is not None and consent.state is ConsentState.ACCEPTED:
        consents.spend(connection, consent.id, now=now)
    return named


def _revive(
    connection: Connection, paid: Paid, order: Order, binding: Binding, remote: RemoteInstance, began: datetime
) -> None:
    """It was taken for gone, or for never made, and is there. `began`: when the look was."""
    now = paid.now()
    is_fresh = order.ended_at is not None and began - order.ended_at < timedelta(seconds=paid.rules.seen_within)
    was_left = order.reason is StopReason.UNLINKED  # and never gone
    if remote.state is RemoteState.DELETING or (is_fresh and remote.id == order.remote_id and not was_left):
        return  # a listing may show for a while what is gone
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
    log.warning("order %s was found in a cloud as %s", order.id, remote.raw_state)
    params = {"remote": remote.id, "raw": remote.raw_state}
    audit.note(
        connection, order.id, at=now, by=STEWARD, what="recovered", before=before, after=order.state, params=params
    )
    user_notice = notice(NoticeKind.RECOVERED, order, **params)
    audit.tell(
        connection, order.user_name, user_notice.kind, occasion=user_notice.occasion, at=now,
        order_id=order.id, binding_id=order.binding_id, params=user_notice.params,
    )  # fmt: skip


def _block_incomplete_listing(connection: Connection, order_id: str, *, now: datetime) -> None:
    """It is there, and the list did not show it: what we cannot see we could not find again. Nothing more is made."""
    order = orders.get(connection, order_id)
    block(connection, order.binding_id, Block.LIST_BLIND, now=now)
    if order.state in RUNS and orders.want_stop(
        connection, order_id, by=FREEPOOL, now=now, reason=StopReason.LIST_BLIND
    ):
        audit.note(connection, order_id, at=now, by=STEWARD, what="stop_wanted", params={"reason": "list_blind"})
