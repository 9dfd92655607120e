"""Which messages have lost their meaning before they were sent. Decided in the transaction that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from spawner.ledger import InstanceState, TicketState
from spawner.ledger.channels.messages import Outgoing
from spawner.ledger.channels.rows import MessageEvent
from spawner.ledger.people import bans
from spawner.ledger.pool import admin_settings
from spawner.ledger.pool.tables import instances, tickets
from spawner.ledger.time.tables import instance_use
from spawner.pool.admin.settings import AdminSettings

LONGEST_WAIT = timedelta(hours=24)
"""Age at which any message is dropped."""


def is_out_of_date(connection: Connection, outgoing: Outgoing, now: datetime) -> bool:
    """Whether what a message says is no longer so, or nobody wants to hear it."""
    message, channel = outgoing.message, outgoing.channel
    if channel is None or now - message.made_at > LONGEST_WAIT:
        return True
    match message.event:
        case MessageEvent.CONFIRM:
            # Another code has replaced this message's, or the address is confirmed.
            expires_at = channel.code_expires_at
            return expires_at is None or expires_at <= now or expires_at.isoformat() != message.params.get("expires_at")
        case MessageEvent.TEST | MessageEvent.ENDED | MessageEvent.PAID:
            return False
        case MessageEvent.YOUR_TURN:
            return _is_turn_over(connection, str(message.params.get("ticket")), now)
        case MessageEvent.DEADLINE:
            return _ends_otherwise(connection, message.params, now, is_deadline=True)
        case MessageEvent.IDLE:
            return _ends_otherwise(connection, message.params, now) or _is_used_again(connection, message.params)
        case MessageEvent.BANNED:
            return bans.of_person(connection, message.person_id, now=now) is None


def _is_turn_over(connection: Connection, ticket_id: str, now: datetime) -> bool:
    """Whether the user has come, or their slot has gone to another."""
    query = select(tickets.c.state, tickets.c.hold_until, tickets.c.collected_at, tickets.c.instance_id)
    ticket = connection.execute(query.where(tickets.c.id == ticket_id)).one_or_none()
    if ticket is None or ticket.collected_at is not None:
        return True
    if ticket.state is TicketState.CALLED:
        return bool(ticket.hold_until is not None and ticket.hold_until <= now)
    if ticket.state is not TicketState.SERVED:
        return True
    return _end_of(connection, ticket.instance_id) is None


def _ends_otherwise(
    connection: Connection, params: Mapping[str, Any], now: datetime, *, is_deadline: bool = False
) -> bool:
    """Whether the instance is ending already, or the time that the message says is over or was put off."""
    ends_at, told = _end_of(connection, str(params.get("instance"))), params.get("ends_at")
    told_at = datetime.fromisoformat(told) if isinstance(told, str) else None
    if ends_at is None or told_at is None or told_at <= now:
        return True
    drain = AdminSettings(admin_settings.all_of(connection)).drain
    if drain is not None and drain.at is not None:  # the message may be about maintenance
        ends_at = min(ends_at, drain.at)
    return is_deadline and ends_at > told_at


def _is_used_again(connection: Connection, params: Mapping[str, Any]) -> bool:
    query = select(instance_use.c.stops_at).where(instance_use.c.instance_id == str(params.get("instance")))
    row = connection.execute(query).one_or_none()
    return row is not None and row.stops_at is None


def _end_of(connection: Connection, instance_id: str | None) -> datetime | None:
    """The deadline of a running instance; None for any other."""
    query = select(instances.c.ends_at).where(instances.c.id == instance_id, instances.c.state == InstanceState.RUNNING)
    return connection.execute(query).scalar()
