"""Sends notices about running instances to their person's own channel, in the transaction that writes the notice."""

from __future__ import annotations

from sqlalchemy import Connection

from spawner.channels.texts import MAINTENANCE
from spawner.ledger.channels import messages
from spawner.ledger.channels.rows import MessageEvent
from spawner.ledger.pool import instances
from spawner.ledger.time.rows import NoticeKind, SessionNotice

EVENTS = {
    NoticeKind.DEADLINE: MessageEvent.DEADLINE,
    NoticeKind.MAINTENANCE: MessageEvent.DEADLINE,
    NoticeKind.IDLE: MessageEvent.IDLE,
}
"""The others are for who has the notebook open."""


def tell_notice(connection: Connection, notice: SessionNotice) -> None:
    """Write the messages. Of several warnings before one end only the first is sent."""
    event = EVENTS.get(notice.kind)
    if event is None:
        return
    instance = instances.get(connection, notice.instance_id)
    at = notice.due_at.isoformat()
    params = {"instance": instance.id, "flavor": instance.flavor, "ends_at": at}
    if notice.kind is NoticeKind.MAINTENANCE:
        params["kind"] = MAINTENANCE
    messages.tell(connection, notice.person_id, event, f"{event}:{instance.id}:{at}", params, notice.written_at)
