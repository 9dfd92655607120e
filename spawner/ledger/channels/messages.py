"""Queries of messages to people's channels. `tell` writes one; the steward sends it and notes how that went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from spawner.ledger.channels.rows import Channel, ChannelKind, Message, MessageEvent
from spawner.ledger.channels.tables import IS_OPEN, channels, messages
from spawner.ledger.engine import rows_changed
from spawner.ledger.transitions import PRUNED_AT_ONCE, touch

DROPPED = "dropped"
"""`detail` of a message that was not sent because it had lost its meaning."""


@dataclass(frozen=True)
class Outgoing:
    """A message to send, and the channel that it goes to; None where the channel was removed."""

    message: Message
    channel: Channel | None


def tell(
    connection: Connection,
    person_id: str,
    event: MessageEvent,
    mark: str,
    params: Mapping[str, Any],
    now: datetime,
    new_id: Callable[[], str] | None = None,
) -> int:
    """Write a message for each confirmed channel of the person that is told of this event. Returns how many.

    It is part of the caller's transaction. `mark` (at most 128 characters) names the occasion: a second message with
    it is not written. `params` are JSON. Without `new_id`, ids derive from channel and mark.
    """
    query = select(channels.c.id, channels.c.events).where(
        channels.c.person_id == person_id, channels.c.confirmed_at.is_not(None)
    )
    told = [channel_id for channel_id, events in connection.execute(query).all() if event.value in events]
    return sum(_add(connection, one, person_id, event, mark, params, now, new_id) for one in told)


def ask(
    connection: Connection,
    channel: Channel,
    event: MessageEvent,
    mark: str,
    params: Mapping[str, Any],
    now: datetime,
    new_id: Callable[[], str] | None = None,
) -> None:
    """Write a message that somebody asked for: to confirm an address, or a test."""
    _add(connection, channel.id, channel.person_id, event, mark, params, now, new_id)


def _add(
    connection: Connection,
    channel_id: str,
    person_id: str,
    event: MessageEvent,
    mark: str,
    params: Mapping[str, Any],
    now: datetime,
    new_id: Callable[[], str] | None,
) -> bool:
    # Write transactions run one at a time (see `engine`), so this check and the insert cannot race.
    there = select(messages.c.id).where(messages.c.channel_id == channel_id, messages.c.mark == mark)
    if connection.execute(there).first() is not None:
        return False
    connection.execute(
        insert(messages).values(
            id=new_id() if new_id else sha256(f"{channel_id} {mark}".encode()).hexdigest()[:32],
            channel_id=channel_id,
            person_id=person_id,
            event=event,
            mark=mark,
            params=dict(params),
            made_at=now,
            next_try_at=now,
            tries=0,
        )
    )
    touch(connection)
    return True


def confirmations(connection: Connection, *, since: datetime, person_id: str = "", digest: str = "") -> int:
    """How many messages that ask to confirm an address were written since then: for a person, or to an address."""
    query = select(func.count()).where(messages.c.event == MessageEvent.CONFIRM, messages.c.made_at > since)
    if person_id:
        query = query.where(messages.c.person_id == person_id)
    if digest:
        query = query.where(messages.c.mark.startswith(confirm_mark(digest, ""), autoescape=True))
    return int(connection.execute(query).scalar_one())


def confirm_mark(digest: str, message_id: str) -> str:
    """The mark of a message that asks to confirm the address with this digest."""
    return f"confirm:{digest}:{message_id}"


def tests(connection: Connection, channel_id: str, *, since: datetime) -> int:
    """How many test messages were written since then."""
    query = select(func.count()).where(
        messages.c.channel_id == channel_id, messages.c.event == MessageEvent.TEST, messages.c.made_at > since
    )
    return int(connection.execute(query).scalar_one())


def due(connection: Connection, *, now: datetime, at_most: int) -> list[Outgoing]:
    """Messages whose next try is due, the longest due first: `at_most` of each kind of channel.

    So mails that a server does not take leave room for webhooks.
    """
    is_due = (
        select(messages).where(IS_OPEN, messages.c.next_try_at <= now).order_by(messages.c.next_try_at, messages.c.id)
    )
    has_none = ~messages.c.channel_id.in_(select(channels.c.id))  # the channel was removed
    kinds = [messages.c.channel_id.in_(select(channels.c.id).where(channels.c.kind == kind)) for kind in ChannelKind]
    found = [
        Message(**row._mapping)
        for where in (*kinds, has_none)
        for row in connection.execute(is_due.where(where).limit(at_most))
    ]
    ids = {message.channel_id for message in found}
    rows = connection.execute(select(channels).where(channels.c.id.in_(ids)))
    by_id = {row.id: Channel(**row._mapping) for row in rows}
    return [Outgoing(message, by_id.get(message.channel_id)) for message in found]


def begin_try(connection: Connection, message: Message, *, next_try_at: datetime) -> bool:
    """Count a try before it is made, so that one that kills the sender counts too. False where another process did."""
    query = update(messages).where(messages.c.id == message.id, messages.c.tries == message.tries, IS_OPEN)
    return rows_changed(connection.execute(query.values(tries=message.tries + 1, next_try_at=next_try_at))) == 1


def mark_sent(connection: Connection, message_id: str, *, now: datetime) -> None:
    """It was delivered. What it says is not kept."""
    _close(connection, message_id, sent_at=now, detail=None, params={})


def mark_failed(connection: Connection, message_id: str, *, detail: str, now: datetime) -> None:
    """It will not be tried again."""
    _close(connection, message_id, failed_at=now, detail=detail, params={})


def note_try(connection: Connection, message_id: str, *, detail: str) -> None:
    """A try failed, and another follows."""
    connection.execute(update(messages).where(messages.c.id == message_id, IS_OPEN).values(detail=detail))


def _close(connection: Connection, message_id: str, **values: Any) -> None:
    connection.execute(update(messages).where(messages.c.id == message_id, IS_OPEN).values(**values))


@dataclass(frozen=True)
class Delivery:
    """How messages of one kind of channel fare. `late`: open messages of which a try has failed."""

    waiting: int = 0
    late: int = 0
    late_since: datetime | None = None
    late_detail: str = ""
    sent: int = 0
    failed: int = 0
    last_sent_at: datetime | None = None


def deliveries(connection: Connection, *, since: datetime) -> dict[ChannelKind, Delivery]:
    """By kind of channel. `sent` and `failed` count messages that were written since then."""
    found: dict[ChannelKind, Delivery] = {}
    for kind in ChannelKind:
        here = messages.c.channel_id.in_(select(channels.c.id).where(channels.c.kind == kind))
        is_late = (messages.c.tries > 0) & messages.c.detail.is_not(None)
        late = select(messages.c.made_at, messages.c.detail).where(IS_OPEN, here, is_late)
        latest = connection.execute(late.order_by(messages.c.next_try_at.desc()).limit(1)).one_or_none()
        recent = messages.c.made_at > since
        sent_at = connection.execute(select(func.max(messages.c.sent_at)).where(here, recent)).scalar()
        was_dropped = messages.c.detail == DROPPED
        found[kind] = Delivery(
            waiting=_count(connection, IS_OPEN, here),
            late=_count(connection, IS_OPEN, here, is_late),
            late_since=connection.execute(select(func.min(messages.c.made_at)).where(IS_OPEN, here, is_late)).scalar(),
            late_detail=str(latest.detail) if latest is not None else "",
            sent=_count(connection, here, recent, messages.c.sent_at.is_not(None)),
            failed=_count(connection, here, recent, messages.c.failed_at.is_not(None), ~was_dropped),
            last_sent_at=sent_at,
        )
    return found


def _count(connection: Connection, *where: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(messages).where(*where)).scalar_one())


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete messages that were written before a time: at most `PRUNED_AT_ONCE`. Returns how many."""
    query = select(messages.c.id).where(messages.c.made_at < before).order_by(messages.c.made_at).limit(PRUNED_AT_ONCE)
    ids = list(connection.execute(query).scalars())
    return rows_changed(connection.execute(delete(messages).where(messages.c.id.in_(ids))))
