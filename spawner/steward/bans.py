"""Ends what banned people have: instances and tickets of the pool, and runs of paid instances. Deletes nothing.

`decide` is pure; `carry_out` writes. It is done in every round, so it does not matter which process wrote the ban.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from spawner.errors import LostRace
from spawner.ledger import EndReason, Instance, InstanceState, Ticket, TicketState
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import Order, OrderState, StopReason
from spawner.ledger.people import bans
from spawner.ledger.pool import instances, tickets
from spawner.paid.orders import service as order_service
from spawner.pool.pool import Pool

log = logging.getLogger("freepool.steward")
FREEPOOL = "freepool"


@dataclass(frozen=True)
class BanActions:
    """Ids of what ends."""

    instances: tuple[str, ...] = ()
    tickets: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()


def decide(
    banned: Collection[str], *, instances: Iterable[Instance], tickets: Iterable[Ticket], orders: Iterable[Order]
) -> BanActions:
    """What of these rows is a banned person's and is not ending yet. A ticket with an instance ends with that."""
    return BanActions(
        instances=tuple(
            one.id for one in instances if one.person_id in banned and one.state is not InstanceState.STOPPING
        ),
        tickets=tuple(one.id for one in tickets if one.person_id in banned and one.instance_id is None),
        orders=tuple(
            one.id
            for one in orders
            if one.person_id in banned and not one.is_unwanted and one.state is not OrderState.STOPPED
        ),
    )


def read(connection: Connection, now: datetime) -> BanActions:
    """The actions for the rows of now."""
    banned = {ban.person_id for ban in bans.holding(connection, now=now)}
    if not banned:
        return BanActions()
    return decide(
        banned,
        instances=instances.unended(connection),
        tickets=tickets.alive(connection),
        orders=orders.alive(connection),
    )


async def enforce(pool: Pool) -> None:
    """End everything that banned people have. JupyterHub sees the ends of their servers by itself."""
    actions = await pool.ledger.aread(read, pool.now())
    for ticket_id in actions.tickets:
        with contextlib.suppress(LostRace):  # its start has begun: the instance ends in the next round
            await pool.ledger.awrite(pool.admission.release, ticket_id, TicketState.CANCELLED)
    for order_id in actions.orders:
        log.info("paid instance %s is stopped: its owner is banned", order_id)
        await pool.ledger.awrite(
            order_service.want_stop, order_id, by=FREEPOOL, now=pool.now(), reason=StopReason.BLOCKED
        )
    for instance_id in actions.instances:
        log.info("instance %s ends: its user is banned", instance_id)
        await pool.end_soon(instance_id, EndReason.BANNED)
