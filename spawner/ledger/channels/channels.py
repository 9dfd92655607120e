"""Queries of people's own channels. A new address is a new row: it must be confirmed, and old links are void."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from spawner.ledger.channels.rows import Channel, ChannelKind, MessageEvent
from spawner.ledger.channels.tables import blocked_addresses, channels, messages
from spawner.ledger.engine import rows_changed
from spawner.ledger.transitions import PRUNED_AT_ONCE, touch

_IS_STALE = channels.c.confirmed_at.is_(None)


def of_person(connection: Connection, person_id: str) -> list[Channel]:
    """A person's channels, confirmed or not: at most one of each kind."""
    query = select(channels).where(channels.c.person_id == person_id).order_by(channels.c.kind)
    return [Channel(**row._mapping) for row in connection.execute(query)]


def find(connection: Connection, channel_id: str) -> Channel | None:
    """The row with this id, if there is one."""
    row = connection.execute(select(channels).where(channels.c.id == channel_id)).one_or_none()
    return None if row is None else Channel(**row._mapping)


def put(connection: Connection, channel: Channel) -> None:
    """Write a person's unconfirmed channel, in the place of the one of this kind."""
    old = select(channels.c.id).where(channels.c.person_id == channel.person_id, channels.c.kind == channel.kind)
    for channel_id in connection.execute(old).scalars().all():
        remove(connection, channel_id)
    connection.execute(insert(channels).values(**vars(channel)))
    touch(connection)


def set_code(connection: Connection, channel_id: str, *, code_hash: str, expires_at: datetime) -> None:
    """Give an unconfirmed channel another code. The one of before is void."""
    values = {"code_hash": code_hash, "code_expires_at": expires_at}
    connection.execute(update(channels).where(channels.c.id == channel_id, _IS_STALE).values(**values))
    touch(connection)


def with_code(connection: Connection, channel_id: str, code_hash: str, *, now: datetime) -> Channel | None:
    """The channel that waits for this code; None for a code that is wrong, used or expired."""
    query = select(channels).where(
        channels.c.id == channel_id,
        channels.c.code_hash == code_hash,
        channels.c.code_expires_at > now,
        _IS_STALE,
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Channel(**row._mapping)


def confirm(connection: Connection, channel_id: str, code_hash: str, *, now: datetime) -> bool:
    """Use a code, once. False for a code that is wrong, used or expired."""
    if with_code(connection, channel_id, code_hash, now=now) is None:
        return False
    values = {"confirmed_at": now, "code_hash": None, "code_expires_at": None}
    connection.execute(update(channels).where(channels.c.id == channel_id).values(**values))
    touch(connection)
    return True


def choose(connection: Connection, channel_id: str, *, events: Sequence[MessageEvent], language: str) -> None:
    """Set which events a channel is told of, and in which language."""
    values = {"events": [event.value for event in events], "language": language}
    connection.execute(update(channels).where(channels.c.id == channel_id).values(**values))
    touch(connection)


def remove(connection: Connection, channel_id: str) -> bool:
    """Delete a channel and what has not been sent to it. What was sent is kept: it counts towards limits."""
    is_open = messages.c.sent_at.is_(None) & messages.c.failed_at.is_(None)
    connection.execute(delete(messages).where(messages.c.channel_id == channel_id, is_open, messages.c.tries == 0))
    found = rows_changed(connection.execute(delete(channels).where(channels.c.id == channel_id))) > 0
    touch(connection)
    return found


def note_success(connection: Connection, channel_id: str) -> None:
    """A message was delivered."""
    is_failing = channels.c.failing_since.is_not(None)
    query = update(channels).where(channels.c.id == channel_id, is_failing)
    if rows_changed(connection.execute(query.values(failing_since=None, detail=None))):
        touch(connection)


def note_failure(connection: Connection, channel_id: str, *, detail: str, now: datetime) -> None:
    """A message was not delivered. `failing_since` stays the time of the first failure in a row."""
    values = {"failing_since": func.coalesce(channels.c.failing_since, now), "detail": detail}
    connection.execute(update(channels).where(channels.c.id == channel_id).values(**values))
    touch(connection)


def block(connection: Connection, digest: str, *, now: datetime) -> None:
    """Send nothing to this address any more, even if another user enters it."""
    if not is_blocked(connection, digest):
        connection.execute(insert(blocked_addresses).values(digest=digest, blocked_at=now))
        touch(connection)


def unblock(connection: Connection, digest: str) -> bool:
    """Undo `block`. False where the address is not blocked."""
    found = rows_changed(connection.execute(delete(blocked_addresses).where(blocked_addresses.c.digest == digest)))
    return found > 0


def is_blocked(connection: Connection, digest: str) -> bool:
    """Whether the owner of this address wants no message from here."""
    query = select(blocked_addresses.c.digest).where(blocked_addresses.c.digest == digest)
    return connection.execute(query).first() is not None


def count(connection: Connection) -> dict[tuple[ChannelKind, str], int]:
    """Number of channels by kind and state: `unconfirmed`, `failing` or `working`."""
    found: dict[tuple[ChannelKind, str], int] = {}
    query = select(channels.c.kind, channels.c.confirmed_at, channels.c.failing_since)
    for kind, confirmed_at, failing_since in connection.execute(query):
        state = "unconfirmed" if confirmed_at is None else "working" if failing_since is None else "failing"
        found[kind, state] = found.get((kind, state), 0) + 1
    return found


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete channels that were never confirmed, made before a time: at most `PRUNED_AT_ONCE`. Returns how many."""
    query = select(channels.c.id).where(_IS_STALE, channels.c.made_at < before).limit(PRUNED_AT_ONCE)
    ids = list(connection.execute(query).scalars())
    for channel_id in ids:
        remove(connection, channel_id)
    return len(ids)
