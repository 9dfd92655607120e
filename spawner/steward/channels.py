"""Sends messages to people's own channels, beside the steward: in its own task, with its own lease and connections.

A message is sent at least once: its row says so only after the server has taken it. Tries are counted before they are
made. No round of the steward waits for a mail server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from spawner.aio import KeyedTaskSet
from spawner.catalog import Catalog, load_catalog
from spawner.channels.keys import SECRET, ChannelKeys
from spawner.channels.mail import MailSender
from spawner.channels.texts import Writer, webhook_body
from spawner.channels.undelivered import Failure, Undelivered
from spawner.channels.webhook import WebhookSender
from spawner.errors import FreepoolError
from spawner.ledger import Ledger, leases, open_ledger
from spawner.ledger.channels import channels, messages
from spawner.ledger.channels.messages import DROPPED, Outgoing
from spawner.ledger.channels.rows import Channel, ChannelKind, Message
from spawner.ledger.people import people
from spawner.ledger.transitions import PRUNED_AT_ONCE
from spawner.pool.build import utc_now
from spawner.settings import Settings
from spawner.steward.channel_facts import is_out_of_date

log = logging.getLogger("freepool.channels")
LEASE = "channels"
LEASE_DURATION = timedelta(seconds=15)
TICK_SECONDS = 1.0
"""Between looks for messages that are due: other processes write them, and times pass without an event."""
AT_ONCE = 200
"""Messages of one kind of channel that one tick looks at."""
WEBHOOKS_AT_ONCE = 8
"""At most one to each channel. How many mails are sent at once is a setting."""
TRIES = 8
FIRST_PAUSE, FACTOR, LONGEST_PAUSE = timedelta(minutes=1), 4, timedelta(hours=6)
"""Between tries: 1, 4, 16 and 64 minutes, then up to 6 hours."""
KEPT = timedelta(days=30)
"""How long sent messages are kept."""
UNCONFIRMED_KEPT = timedelta(days=7)
PRUNE_EVERY = timedelta(hours=1)
WARN_EVERY = timedelta(minutes=10)
DESK_PATH = "services/desk/"


def pause_after(tries: int) -> timedelta:
    """The pause before the next try, after this many."""
    factor: int = FACTOR ** (tries - 1)
    return min(FIRST_PAUSE * factor, LONGEST_PAUSE)


@dataclass(frozen=True)
class Senders:
    """What delivers. `mail` is None where no mail server is set."""

    mail: MailSender | None
    webhook: WebhookSender
    writer: Writer


@dataclass(frozen=True)
class Sorted:
    """Messages that are due: `current` ones to send, with the names of their users, and `dropped` ones."""

    current: list[tuple[Message, Channel, str]]
    dropped: list[Message]


def read_due(connection: Connection, *, now: datetime, at_most: int) -> Sorted:
    """The messages that are due."""
    found = messages.due(connection, now=now, at_most=at_most)
    names = people.names(connection, {one.message.person_id for one in found})
    current: list[tuple[Message, Channel, str]] = []
    dropped: list[Message] = []
    for one in found:
        if one.channel is None or is_out_of_date(connection, one, now):
            dropped.append(one.message)
        else:
            current.append((one.message, one.channel, names.get(one.message.person_id, "")))
    return Sorted(current, dropped)


def drop(connection: Connection, rows: Iterable[Message], *, now: datetime) -> None:
    """Close messages that are still out of date."""
    by_id = {one.message.id: one for one in messages.due(connection, now=now, at_most=AT_ONCE)}
    for message in rows:
        outgoing = by_id.get(message.id, Outgoing(message, None))
        if outgoing.channel is None or is_out_of_date(connection, outgoing, now):
            messages.mark_failed(connection, message.id, detail=DROPPED, now=now)


class ChannelRunner:
    """Sends what is due while it holds the lease."""

    def __init__(self, ledger: Ledger, senders: Senders, *, holder: str, now: Callable[[], datetime] = utc_now) -> None:
        self._ledger = ledger
        self._senders = senders
        self._holder = holder
        self._now = now
        self._tasks = KeyedTaskSet(_log_failure)
        self._sending: dict[str, ChannelKind] = {}
        self._pruned_at: datetime | None = None
        self._warned_at: datetime | None = None

    async def tick(self) -> bool:
        """Begin to send what is due. Waits for no delivery. False where another process holds the lease."""
        now = self._now()
        if not await self._ledger.awrite(leases.hold, LEASE, holder=self._holder, now=now, duration=LEASE_DURATION):
            return False
        # Those that are being sent have a later `next_try_at`, so they are not among them.
        due = await self._ledger.aread(read_due, now=now, at_most=AT_ONCE)
        if due.dropped:
            await self._ledger.awrite(drop, due.dropped, now=now)
        for message, channel, name in due.current:
            if message.tries >= TRIES:  # its last try has ended this process, or failed in an unforeseen way
                detail = message.detail or str(Failure.UNREACHABLE)
                await self._ledger.awrite(_note_failure, message, detail, now=now, is_last=True)
            elif channel.id not in self._sending and self._has_room(channel.kind):
                await self._begin(message, channel, name)
        await self._prune(now)
        return True

    async def rest(self) -> None:
        """Cancel what is being sent: it is tried again."""
        await self._tasks.cancel()

    async def join(self) -> None:
        """Wait until what is being sent has ended."""
        await self._tasks.join()

    def _has_room(self, kind: ChannelKind) -> bool:
        mail = self._senders.mail
        most = WEBHOOKS_AT_ONCE if kind is ChannelKind.WEBHOOK or mail is None else mail.connections
        return sum(one is kind for one in self._sending.values()) < most

    async def _begin(self, message: Message, channel: Channel, name: str) -> None:
        tries = message.tries + 1
        next_try_at = self._now() + pause_after(tries)
        if await self._ledger.awrite(messages.begin_try, message, next_try_at=next_try_at):
            self._sending[channel.id] = channel.kind
            self._tasks.begin(message.id, partial(self._send, message, channel, name, tries))

    async def _send(self, message: Message, channel: Channel, name: str, tries: int) -> None:
        try:
            await self._deliver(message, channel, name)
        except Undelivered as error:
            self._warn(message, error)
            is_last = error.is_final or tries >= TRIES
            await self._ledger.awrite(_note_failure, message, error.detail, now=self._now(), is_last=is_last)
        else:
            log.info("message %s (%s) was sent by %s", message.id, message.event, channel.kind)
            await self._ledger.awrite(_note_success, message, now=self._now())
        finally:
            self._sending.pop(channel.id, None)

    async def _deliver(self, message: Message, channel: Channel, name: str) -> None:
        now = self._now()
        letter = self._senders.writer.letter(message, channel, name=name, now=now)
        if channel.kind is ChannelKind.WEBHOOK:
            body = webhook_body(letter, message, channel)
            await self._senders.webhook.send(channel, message.id, body, timestamp=int(now.timestamp()))
        elif self._senders.mail is None:
            raise Undelivered(Failure.OFF)
        else:
            await self._senders.mail.send(letter, channel.address)

    def _warn(self, message: Message, error: Undelivered) -> None:
        """Say it in the log, but not for each of many messages while a mail server is away."""
        now = self._now()
        if self._warned_at is None or now - self._warned_at >= WARN_EVERY:
            self._warned_at = now
            log.warning("message %s was not delivered: %s", message.id, error)

    async def _prune(self, now: datetime) -> None:
        if self._pruned_at is not None and now - self._pruned_at < PRUNE_EVERY:
            return
        counts = [
            await self._ledger.awrite(messages.prune, before=now - KEPT),
            await self._ledger.awrite(channels.prune, before=now - UNCONFIRMED_KEPT),
        ]
        if max(counts) < PRUNED_AT_ONCE:  # else the next tick goes on
            self._pruned_at = now


def _note_failure(connection: Connection, message: Message, detail: str, *, now: datetime, is_last: bool) -> None:
    if is_last:
        messages.mark_failed(connection, message.id, detail=detail, now=now)
    else:
        messages.note_try(connection, message.id, detail=detail)
    channels.note_failure(connection, message.channel_id, detail=detail, now=now)


def _note_success(connection: Connection, message: Message, *, now: datetime) -> None:
    messages.mark_sent(connection, message.id, now=now)
    channels.note_success(connection, message.channel_id)


def make_senders(settings: Settings, catalog: Catalog) -> Senders:
    """From the settings. Raises `SetupError` where the mail server's password or a certificate cannot be read."""
    given, keys = settings.channels, ChannelKeys(settings.secret(SECRET))
    mail = None
    if given.mail is not None:
        mail = MailSender(given.mail, given.mail.password(settings.state / "secrets"), ca_file=given.ca_file)
    titles = {flavor.id: flavor.title for flavor in catalog.flavors}
    writer = Writer(
        public_url=settings.public_url,
        desk_url=settings.public_url + DESK_PATH,
        keys=keys,
        title=lambda flavor, language: titles[flavor].in_language(language) if flavor in titles else flavor,
    )
    return Senders(mail, WebhookSender(given, keys), writer)


@contextlib.asynccontextmanager
async def keeping_channels(settings: Settings, holder: str) -> AsyncIterator[None]:
    """Send messages while the block runs, where the settings offer channels. Raises `SetupError`."""
    if not settings.channels.is_on:
        yield
        return
    senders = make_senders(settings, load_catalog(settings.catalog))
    ledger = open_ledger(settings.ledger)
    runner = ChannelRunner(ledger, senders, holder=holder)
    task = asyncio.create_task(_send_all(runner), name="freepool-channels")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runner.rest()
        with contextlib.suppress(FreepoolError):
            await ledger.awrite(leases.release, LEASE, holder=holder)
        ledger.close()


async def _send_all(runner: ChannelRunner) -> None:
    while True:
        try:
            await runner.tick()
        except Exception:  # of any kind: the next tick may succeed
            log.exception("messages could not be sent, which is tried again")
        await asyncio.sleep(TICK_SECONDS)


def _log_failure(subject: str, error: BaseException) -> None:
    log.error("sending message %s failed and is tried again", subject, exc_info=error)
