"""Unlinking an account: what runs is stopped first, what nobody has used is void, what stays is said."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import OVER, NoticeKind, OrderChanges, OrderState, StopReason
from spawner.paid.accounts.binding import Reach, in_the_way_of_unlinking
from spawner.paid.orders.service import want_stop
from spawner.paid.orders.updates import notice


def unlink_or_stop(connection: Connection, binding_id: str, *, by: str, now: datetime, reaches: Reach) -> bool:
    """True where it is unlinked now; else what is in the way is to be stopped. All of it in one transaction.

    Nothing is started under it from now on, either way: a yes that the hub has not spent yet is withdrawn.
    """
    consents.withdraw_all(connection, binding_id, now=now)
    mine = orders.of_binding(connection, binding_id)
    in_the_way = in_the_way_of_unlinking(mine, now, reaches=reaches)
    for order in in_the_way:
        want_stop(connection, order.id, by=by, now=now, reason=StopReason.UNLINKED)
    if in_the_way:
        return False
    for order in mine:
        if order.state in OVER:
            continue
        # It is not gone from the cloud, only from here: whoever links the account again gets it back by a sweep.
        changes: OrderChanges = {
            "state": OrderState.GONE,
            "reason": StopReason.UNLINKED,
            "ended_at": now,
            "next_try_at": None,
        }
        orders.update_read(connection, order, changes)
        audit.note(connection, order.id, at=now, by=by, what="left", before=order.state, after=OrderState.GONE)
        telling = notice(NoticeKind.LEFT, order)
        audit.tell(
            connection, order, telling.kind, occasion=telling.occasion, at=now,
            order_id=order.id, binding_id=binding_id, params=telling.params,
        )  # fmt: skip
    bindings.unlink(connection, binding_id, now=now)
    return True
