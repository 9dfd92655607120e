"""The steward's part: messages leave the ledger at least once, by a real mail server, and failures are kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from spawner.channel_settings import ChannelSettings, MailServer
from spawner.channels.mail import MailSender
from spawner.channels.texts import Writer
from spawner.channels.webhook import WebhookSender
from spawner.ledger import InstanceState, Ledger, TicketState
from spawner.ledger.channels import channels, messages
from spawner.ledger.channels.messages import DROPPED
from spawner.ledger.channels.rows import Channel, Message, MessageEvent
from spawner.ledger.channels.tables import messages as message_rows
from spawner.ledger.people import bans
from spawner.ledger.people.rows import Ban, BanCode
from spawner.ledger.pool.tables import instances as instance_rows
from spawner.ledger.pool.tables import tickets as ticket_rows
from spawner.steward.channels import TRIES, ChannelRunner, Senders, pause_after
from tests.channels.servers import MailBox, Receiver, rude_server, silent_server
from tests.ledger.channel_rows import KEYS, confirmed, enter
from tests.ledger.rows import NOW
from tests.unit import make

ANN = "ann@example.org"
MINUTE = timedelta(minutes=1)
WRITER = Writer("https://lab/", "https://lab/services/desk/", KEYS, title=lambda flavor, _: flavor)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def runner(ledger: Ledger, port: int, clock: Clock, *, ca_file: Path | None = None, holder: str = "h") -> ChannelRunner:
    server = MailServer.model_validate(
        {"host": "127.0.0.1", "port": port, "security": "none", "sender": "lab@example.org"}
    )
    settings = ChannelSettings(mail=server, webhooks=True, private_addresses=True, ca_file=ca_file)
    senders = Senders(MailSender(server, None, ca_file=None), WebhookSender(settings, KEYS), WRITER)
    return ChannelRunner(ledger, senders, holder=holder, now=clock)


async def run(found: ChannelRunner) -> None:
    """One look, and the end of all that it begins."""
    assert await found.tick()
    await found.join()


def tell(ledger: Ledger, mark: str = "m", event: MessageEvent = MessageEvent.PAID, **params: Any) -> None:
    ledger.write(messages.tell, "ann", event, mark, params, NOW)


def rows(ledger: Ledger, event: MessageEvent) -> list[Message]:
    def read(connection: Connection) -> list[Message]:
        query = select(message_rows).where(message_rows.c.event == event).order_by(message_rows.c.made_at)
        return [Message(**row._mapping) for row in connection.execute(query)]

    return ledger.read(read)


def channel(ledger: Ledger) -> Channel:
    (found,) = ledger.read(channels.of_person, "ann")
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_an_address_is_asked_then_confirmed_then_told(ledger: Ledger, box: MailBox, clock: Clock) -> None:
    made = enter(ledger)
    steward = runner(ledger, box.port, clock)
    await run(steward)
    (asked,) = box.to(ANN)
    assert WRITER.confirm_url(made) in asked.get_content()
    confirmed(ledger, address=ANN)  # the same address: the row that waits
    tell(ledger)
    await run(steward)
    await run(steward)
    assert len(box.to(ANN)) == 2
    assert rows(ledger, MessageEvent.PAID)[0].sent_at == NOW


async def test_a_webhook_is_told(ledger: Ledger, receiver: Receiver, ca_file: Path, clock: Clock) -> None:
    confirmed(ledger, address=receiver.url)
    tell(ledger)
    await run(runner(ledger, 9, clock, ca_file=ca_file))
    (((headers, _body),),) = ([one for one in receiver.requests if b'"paid"' in one[1]],)
    assert headers["webhook-id"] == rows(ledger, MessageEvent.PAID)[0].id


async def test_a_refusal_is_tried_again_with_growing_pauses_then_given_up(
    ledger: Ledger, box: MailBox, clock: Clock
) -> None:
    confirmed(ledger)
    steward = runner(ledger, box.port, clock)
    box.answer = "451 4.7.1 try again"
    tell(ledger)
    times = []
    for _ in range(2000):
        before = len(times)
        (message,) = rows(ledger, MessageEvent.PAID)
        if message.failed_at:
            break
        await run(steward)
        (message,) = rows(ledger, MessageEvent.PAID)
        if message.tries > before:
            times.append(clock.now)
        clock.now = message.next_try_at if not message.failed_at else clock.now
    assert message.tries == TRIES == len(times)
    assert [b - a for a, b in pairwise(times)] == [pause_after(n) for n in range(1, TRIES)]
    assert pause_after(1) == MINUTE
    assert max(pause_after(n) for n in range(1, TRIES)) == timedelta(hours=6)
    assert message.detail == "refused: 451 4.7.1 try again"
    assert channel(ledger).failing_since == NOW
    box.answer = ""
    await run(steward)
    assert box.mails == [], "given up is given up"


async def test_an_address_that_does_not_exist_is_tried_once(ledger: Ledger, box: MailBox, clock: Clock) -> None:
    confirmed(ledger)
    box.answer = "550 5.1.1 no such user"
    tell(ledger)
    await run(runner(ledger, box.port, clock))
    (message,) = rows(ledger, MessageEvent.PAID)
    assert (message.tries, message.failed_at, message.detail) == (1, NOW, "no_mailbox: 550 5.1.1 no such user")


async def test_the_first_success_ends_failing(ledger: Ledger, box: MailBox, clock: Clock) -> None:
    confirmed(ledger)
    tell(ledger)
    with rude_server(greets=True) as port:
        await run(runner(ledger, port, clock))
    assert (channel(ledger).failing_since, (channel(ledger).detail or "").split(":")[0]) == (NOW, "unreachable")
    clock.now += MINUTE
    await run(runner(ledger, box.port, clock))
    assert len(box.to(ANN)) >= 1
    assert channel(ledger).failing_since is None


async def test_a_look_waits_for_no_server_and_begins_no_second_try(ledger: Ledger, clock: Clock) -> None:
    confirmed(ledger)
    tell(ledger)
    with silent_server() as port:
        steward = runner(ledger, port, clock)
        for _ in range(3):
            assert await steward.tick()  # returns while the server says nothing
            clock.now += timedelta(seconds=1)
        assert rows(ledger, MessageEvent.PAID)[0].tries == 1
        assert rows(ledger, MessageEvent.CONFIRM)[0].detail == DROPPED
        await steward.rest()


async def test_a_sender_that_was_killed_while_it_sent_is_followed_by_another_try(
    ledger: Ledger, box: MailBox, clock: Clock
) -> None:
    confirmed(ledger)
    tell(ledger)
    with silent_server() as port:
        first = runner(ledger, port, clock, holder="first")
        await first.tick()
        await first.rest()
    second = runner(ledger, box.port, clock, holder="second")
    assert not await second.tick(), "the lease of the first still holds"
    clock.now += 2 * MINUTE
    await run(second)
    assert rows(ledger, MessageEvent.PAID)[0].sent_at == clock.now


async def test_what_ends_the_sender_each_time_is_given_up(ledger: Ledger, box: MailBox, clock: Clock) -> None:
    confirmed(ledger)
    tell(ledger)
    ledger.write(lambda c: c.execute(update(message_rows).values(tries=TRIES)))
    await run(runner(ledger, box.port, clock))
    assert box.mails == []
    assert rows(ledger, MessageEvent.PAID)[0].failed_at == NOW


# --- messages that have lost their meaning --------------------------------------------------------------------------


def has_ticket(state: TicketState, **changes: Any) -> Callable[[Connection], object]:
    row = make.ticket("t1", state, person_id="ann", hold_until=NOW + 10 * MINUTE, **changes)
    return lambda connection: connection.execute(insert(ticket_rows).values(**vars(row)))


def has_instance(**changes: Any) -> Callable[[Connection], object]:
    row = make.instance("i1", person_id="ann", **{"ends_at": NOW + 5 * MINUTE} | changes)
    return lambda connection: connection.execute(insert(instance_rows).values(**vars(row)))


TURN = (MessageEvent.YOUR_TURN, {"ticket": "t1", "hold_until": (NOW + 10 * MINUTE).isoformat()})
DEADLINE = (MessageEvent.DEADLINE, {"instance": "i1", "ends_at": (NOW + 5 * MINUTE).isoformat()})
BANNED = (MessageEvent.BANNED, {"code": "spam"})
BAN = Ban("b1", "ann", BanCode.SPAM, "", "", "", "root", NOW, None)


@pytest.mark.parametrize(
    ("told", "write", "is_sent"),
    [
        (TURN, has_ticket(TicketState.CALLED), True),
        (TURN, has_ticket(TicketState.CALLED, collected_at=NOW), False),
        (TURN, has_ticket(TicketState.EXPIRED), False),
        (TURN, has_ticket(TicketState.WAITING), False),
        (TURN, lambda _: None, False),
        (DEADLINE, has_instance(), True),
        (DEADLINE, has_instance(state=InstanceState.STOPPING), False),
        (DEADLINE, has_instance(ends_at=NOW + 65 * MINUTE), False),
        (DEADLINE, lambda _: None, False),
        (BANNED, lambda connection: bans.put(connection, BAN), True),
        (BANNED, lambda _: None, False),
    ],
)
async def test_what_is_no_longer_so_is_not_sent(
    ledger: Ledger, box: MailBox, clock: Clock, told: tuple[MessageEvent, dict[str, Any]], write: Any, is_sent: bool
) -> None:
    event, params = told
    confirmed(ledger)
    tell(ledger, event=event, **params)
    ledger.write(write)
    await run(runner(ledger, box.port, clock))
    await run(runner(ledger, box.port, clock))
    first = rows(ledger, event)[0]
    assert (first.sent_at is not None, first.detail) == (is_sent, None if is_sent else DROPPED)


async def test_nothing_is_sent_a_day_late(ledger: Ledger, box: MailBox, clock: Clock) -> None:
    confirmed(ledger)
    tell(ledger)
    clock.now += timedelta(hours=25)
    await run(runner(ledger, box.port, clock))
    assert (box.mails, rows(ledger, MessageEvent.PAID)[0].detail) == ([], DROPPED)


async def test_a_removed_address_gets_nothing_more(ledger: Ledger, box: MailBox, clock: Clock) -> None:
    made = confirmed(ledger)
    box.answer = "451 later"
    tell(ledger)
    steward = runner(ledger, box.port, clock)
    await run(steward)
    ledger.write(channels.remove, made.id)
    box.answer = ""
    clock.now += 2 * MINUTE
    await run(steward)
    assert box.mails == []
