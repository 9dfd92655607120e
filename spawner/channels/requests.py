"""What people ask of their channels, within limits: nobody fills a stranger's mailbox through this platform.

Each function runs in the caller's write transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.channels.keys import CODE_LIFETIME, ChannelKeys, code_hash
from spawner.errors import BadOption, Conflict, RateLimited
from spawner.ledger.channels import channels, messages
from spawner.ledger.channels.rows import Channel, ChannelKind, MessageEvent

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
CONFIRMATIONS_A_DAY = 5
"""Requests to confirm an address: by one person, and to one address."""
TESTS_AN_HOUR = 5
WAIT = "Try again tomorrow."


@dataclass(frozen=True)
class Wanted:
    """The channel that a person enters. `events` are what it is told of."""

    person_id: str
    kind: ChannelKind
    address: str
    language: str
    events: Sequence[MessageEvent]


def enter(
    connection: Connection, wanted: Wanted, keys: ChannelKeys, *, now: datetime, new_id: Callable[[], str]
) -> Channel:
    """Set a person's channel. For an address that is not confirmed, a message asks its owner.

    Raises `BadOption` for an address whose owner wants no messages, and `RateLimited`.
    """
    there = next((one for one in channels.of_person(connection, wanted.person_id) if one.kind is wanted.kind), None)
    if there is not None and there.address == wanted.address:
        channels.choose(connection, there.id, events=wanted.events, language=wanted.language)
        if there.is_confirmed:
            return replace(there, events=[event.value for event in wanted.events], language=wanted.language)
        return ask_again(connection, there, keys, now=now, new_id=new_id)
    digest = keys.digest(wanted.kind, wanted.address)
    _refuse(connection, wanted.person_id, digest, now)
    channel = Channel(
        id=new_id(),
        person_id=wanted.person_id,
        kind=wanted.kind,
        address=wanted.address,
        language=wanted.language,
        events=[event.value for event in wanted.events],
        made_at=now,
        code_hash=None,
        code_expires_at=now + CODE_LIFETIME,
    )
    channel = replace(channel, code_hash=code_hash(keys.code(channel)))
    channels.put(connection, channel)
    _ask(connection, channel, digest, now, new_id)
    return channel


def ask_again(
    connection: Connection, channel: Channel, keys: ChannelKeys, *, now: datetime, new_id: Callable[[], str]
) -> Channel:
    """Send another code to an address that is not confirmed. Raises as `enter` does, and `Conflict`."""
    if channel.is_confirmed:
        raise Conflict("This address is confirmed already.", next_step="Reload the page.")
    digest = keys.digest(channel.kind, channel.address)
    _refuse(connection, channel.person_id, digest, now)
    changed = replace(channel, code_expires_at=now + CODE_LIFETIME)
    hashed = code_hash(keys.code(changed))
    channels.set_code(connection, channel.id, code_hash=hashed, expires_at=now + CODE_LIFETIME)
    _ask(connection, changed, digest, now, new_id)
    return replace(changed, code_hash=hashed)


def test(connection: Connection, channel: Channel, *, now: datetime, new_id: Callable[[], str]) -> None:
    """Send a test message. Raises `Conflict` for an address that is not confirmed, and `RateLimited`."""
    if not channel.is_confirmed:
        raise Conflict("This address is not confirmed yet.", next_step="Open the link that was sent to it.")
    if messages.tests(connection, channel.id, since=now - HOUR) >= TESTS_AN_HOUR:
        raise RateLimited(
            "Too many test messages in a short time.",
            next_step="Try again in an hour.",
            seconds=int(HOUR.total_seconds()),
        )
    messages.ask(connection, channel, MessageEvent.TEST, f"test:{new_id()}", {}, now, new_id)


def deny(connection: Connection, channel: Channel, keys: ChannelKeys, *, now: datetime) -> None:
    """The owner of an address says that they did not ask for this: nothing is sent there any more."""
    channels.block(connection, keys.digest(channel.kind, channel.address), now=now)
    channels.remove(connection, channel.id)


def _refuse(connection: Connection, person_id: str, digest: str, now: datetime) -> None:
    if channels.is_blocked(connection, digest):
        raise BadOption("The owner of this address does not want messages from here.", next_step="Enter another one.")
    since = now - DAY
    if messages.confirmations(connection, since=since, person_id=person_id) >= CONFIRMATIONS_A_DAY:
        raise RateLimited(
            "You have entered too many addresses today.", next_step=WAIT, seconds=int(DAY.total_seconds())
        )
    if messages.confirmations(connection, since=since, digest=digest) >= CONFIRMATIONS_A_DAY:
        raise RateLimited(
            "Too many confirmation requests were sent to this address today.",
            next_step=WAIT,
            seconds=int(DAY.total_seconds()),
        )


def _ask(connection: Connection, channel: Channel, digest: str, now: datetime, new_id: Callable[[], str]) -> None:
    assert channel.code_expires_at is not None
    mark = messages.confirm_mark(digest, new_id())
    params = {"expires_at": channel.code_expires_at.isoformat()}
    messages.ask(connection, channel, MessageEvent.CONFIRM, mark, params, now, new_id)
