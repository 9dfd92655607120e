"""Unlink an account: stop its running instances first, withdraw unused consents, and notify the user of instances
that stay in the cloud."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import OVER, NoticeKind, OrderChanges, OrderState, StopReason
from spawner.paid.accounts.binding import Reach, in_the_way_of_unlinking
from spawner.paid.orders.service import want_stop
from spawner.paid.orders.updates import notice


def unlink_or_stop(connection: Connection, binding_id: str, *, by: str, now: datetime, reaches: Reach) -> bool:
    """Unlink the binding (True), or request the stop of the orders that prevent it (False); call again later.

    In both cases unspent consents are withdrawn, so nothing more is started under the binding.
    """
    consents.withdraw_all(connection, binding_id, now=now)
    orders_of_binding = orders.of_binding(connection, binding_id)
    to_stop = in_the_way_of_unlinking(orders_of_binding, now, reaches=reaches)
    for order in to_stop:
        want_stop(connection, order.id, by=by, now=now, reason=StopReason.UNLINKED)
    if to_stop:
        return False
    for order in orders_of_binding:
        if order.state in OVER:
            continue
        # The instance stays in the cloud. Discovery reopens the order when the account is linked again.
        changes: OrderChanges = {
            "state": OrderState.GONE,
            "reason": StopReason.UNLINKED,
            "ended_at": now,
            "next_try_at": None,
        }
        orders.update_read(connection, order, changes)
        audit.note(connection, order.id, at=now, by=by, what="left", before=order.state, after=OrderState.GONE)
        left = notice(NoticeKind.LEFT, order)
        audit.tell(
            connection, order, left.kind, occasion=left.occasion, at=now,
            order_id=order.id, binding_id=binding_id, params=left.params,
        )  # fmt: skip
    bindings.unlink(connection, binding_id, now=now)
    return True
