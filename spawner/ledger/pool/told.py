"""What people are told by their own channel about the free pool: their turn, and ends that they did not ask for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from spawner.ledger.channels import messages
from spawner.ledger.channels.rows import MessageEvent
from spawner.ledger.pool.rows import EndReason, Instance, Ticket

NOT_TOLD = frozenset(
    {
        EndReason.STOPPED,
        EndReason.RESTARTED,
        EndReason.SWITCHED,
        EndReason.CANCELLED,
        EndReason.SUPERSEDED,
        EndReason.SHUT_DOWN,
        EndReason.BANNED,
        EndReason.SURPLUS,
    }
)
"""End reasons that the person asked for, or hears of otherwise. Any other one is told."""


def tell_turn(connection: Connection, ticket: Ticket, *, hold_until: datetime, now: datetime) -> None:
    """The turn of somebody who has waited has come."""
    params = {
        "ticket": ticket.id,
        "server": ticket.server_name,
        "flavor": ticket.flavor,
        "image": ticket.image,
        "hold_until": hold_until.isoformat(),
    }
    mark = f"turn:{ticket.id}:{now.isoformat()}"  # a ticket that was queued again has another turn
    messages.tell(connection, ticket.person_id, MessageEvent.YOUR_TURN, mark, params, now)


def tell_end(connection: Connection, instance: Instance, *, now: datetime) -> None:
    """An instance has ended. Told is what ran, and ended unasked."""
    reason = instance.reason
    if instance.usable_at is None or reason is None or reason in NOT_TOLD:
        return
    params = {
        "instance": instance.id,
        "server": instance.server_name,
        "flavor": instance.flavor,
        "image": instance.image,
        "reason": reason.value,
    }
    messages.tell(connection, instance.person_id, MessageEvent.ENDED, f"ended:{instance.id}", params, now)
