"""People's own channels in the ledger: confirmation, limits, and what writes messages."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from spawner.channels import requests
from spawner.channels.keys import code_hash
from spawner.errors import BadOption, Conflict, RateLimited
from spawner.ledger import EndReason, Ledger
from spawner.ledger.channels import channels, messages
from spawner.ledger.channels.messages import DROPPED
from spawner.ledger.channels.rows import Channel, ChannelKind, Message, MessageEvent
from spawner.ledger.channels.tables import messages as message_rows
from spawner.ledger.paid import audit
from spawner.ledger.paid.rows import NoticeKind
from spawner.ledger.people import bans
from spawner.ledger.people.rows import Ban, BanCode
from spawner.ledger.pool import admin_settings, instances, slots
from spawner.ledger.time.rows import NoticeKind as Notice
from spawner.ledger.time.rows import SessionNotice
from spawner.pool.admin.settings import DRAIN
from spawner.pool.build import new_id
from spawner.steward.channel_facts import is_out_of_date
from spawner.steward.notice_messages import tell_notice
from tests.ledger.channel_rows import KEYS, confirmed, enter
from tests.ledger.pool import SimulatedPool
from tests.ledger.rows import NOW
from tests.paid import make as make_paid

DAY = timedelta(days=1)


def written(ledger: Ledger, event: MessageEvent | None = None) -> list[Message]:
    def read(connection: Connection) -> list[Message]:
        rows = connection.execute(select(message_rows).order_by(message_rows.c.made_at, message_rows.c.id))
        return [Message(**row._mapping) for row in rows]

    return [one for one in ledger.read(read) if event is None or one.event is event]


def tell(ledger: Ledger, person: str = "ann", mark: str = "once", event: MessageEvent = MessageEvent.YOUR_TURN) -> int:
    return ledger.write(messages.tell, person, event, mark, {"a": 1}, NOW, new_id)


def only(ledger: Ledger, person: str = "ann") -> Channel:
    (found,) = ledger.read(channels.of_person, person)
    return found


def test_nothing_is_told_before_an_address_is_confirmed(ledger: Ledger) -> None:
    assert tell(ledger) == 0
    enter(ledger)
    assert tell(ledger) == 0
    assert [one.event for one in written(ledger)] == [MessageEvent.CONFIRM]


def test_an_occasion_is_told_once_to_each_channel_and_only_what_was_chosen(ledger: Ledger) -> None:
    confirmed(ledger, events=[MessageEvent.YOUR_TURN])
    confirmed(ledger, address="https://hooks.example.org/")
    confirmed(ledger, "bob", "bob@example.org")
    assert tell(ledger) == 2
    assert tell(ledger) == 0
    assert tell(ledger, mark="again", event=MessageEvent.IDLE) == 1
    assert tell(ledger, "bob") == 1
    assert {one.person_id for one in written(ledger, MessageEvent.YOUR_TURN)} == {"ann", "bob"}


def test_a_message_is_part_of_the_transaction_that_it_tells_of(ledger: Ledger) -> None:
    confirmed(ledger)

    def fail(connection: Connection) -> None:
        messages.tell(connection, "ann", MessageEvent.ENDED, "m", {}, NOW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.write(fail)
    assert written(ledger, MessageEvent.ENDED) == []


def test_a_code_is_good_once_and_for_a_day_and_is_not_in_the_database(ledger: Ledger) -> None:
    made = enter(ledger)
    code = KEYS.code(made)
    assert code not in repr(written(ledger)) + repr(only(ledger))
    wrong = code_hash("0" * 32)
    assert not ledger.write(channels.confirm, made.id, wrong, now=NOW)
    assert ledger.read(channels.with_code, made.id, code_hash(code), now=NOW + DAY) is None
    assert not ledger.write(channels.confirm, made.id, code_hash(code), now=NOW + DAY)
    assert ledger.write(channels.confirm, made.id, code_hash(code), now=NOW + DAY - timedelta(seconds=1))
    assert only(ledger).is_confirmed
    assert not ledger.write(channels.confirm, made.id, code_hash(code), now=NOW)


def test_a_second_code_replaces_the_first(ledger: Ledger) -> None:
    first = enter(ledger)
    second = ledger.write(requests.ask_again, first, KEYS, now=NOW + timedelta(hours=1), new_id=new_id)
    assert not ledger.write(channels.confirm, first.id, code_hash(KEYS.code(first)), now=NOW)
    assert ledger.write(channels.confirm, first.id, code_hash(KEYS.code(second)), now=NOW)
    with pytest.raises(Conflict):
        ledger.write(requests.ask_again, only(ledger), KEYS, now=NOW, new_id=new_id)


def test_another_address_is_unconfirmed_and_gets_nothing_that_was_meant_for_the_first(ledger: Ledger) -> None:
    old = confirmed(ledger)
    tell(ledger)
    new = enter(ledger, address="other@example.org", now=NOW + timedelta(hours=1))
    assert not only(ledger).is_confirmed
    assert written(ledger, MessageEvent.YOUR_TURN) == []
    assert tell(ledger, mark="later") == 0
    assert (KEYS.unsubscribe_key(old.id), KEYS.webhook_secret(old.id)) != (
        KEYS.unsubscribe_key(new.id),
        KEYS.webhook_secret(new.id),
    )


def test_the_same_address_stays_confirmed_when_events_change(ledger: Ledger) -> None:
    made = confirmed(ledger)
    changed = enter(ledger, events=[MessageEvent.PAID], language="zh-CN")
    assert (changed.id, changed.is_confirmed) == (made.id, True)
    assert (only(ledger).events, only(ledger).language) == (["paid"], "zh-CN")
    assert len(written(ledger, MessageEvent.CONFIRM)) == 1


def test_one_person_asks_five_addresses_a_day(ledger: Ledger) -> None:
    for number in range(requests.CONFIRMATIONS_A_DAY):
        enter(ledger, address=f"victim{number}@example.org")
        send_all(ledger)
    with pytest.raises(RateLimited, match="You have entered too many addresses today"):
        enter(ledger, address="victim9@example.org")
    with pytest.raises(RateLimited):
        ledger.write(requests.ask_again, only(ledger), KEYS, now=NOW, new_id=new_id)
    enter(ledger, "bob", "bob@example.org")
    enter(ledger, address="victim9@example.org", now=NOW + DAY)


def test_one_address_is_asked_five_times_a_day_by_whomever(ledger: Ledger) -> None:
    for number in range(requests.CONFIRMATIONS_A_DAY):
        enter(ledger, f"person{number}", f"Victim+{number}@example.org")
        send_all(ledger)
    with pytest.raises(RateLimited, match="confirmation requests were sent"):
        enter(ledger, "person9", "victim@example.org")
    enter(ledger, "person9", "other@example.org")


def send_all(ledger: Ledger) -> None:
    """As if the steward had sent everything."""
    for one in ledger.read(messages.due, now=NOW, at_most=100):
        assert ledger.write(messages.begin_try, one.message, next_try_at=NOW + DAY)
        ledger.write(messages.mark_sent, one.message.id, now=NOW)


def test_an_address_whose_owner_did_not_ask_is_never_asked_again(ledger: Ledger) -> None:
    made = enter(ledger)
    ledger.write(requests.deny, made, KEYS, now=NOW)
    assert ledger.read(channels.of_person, "ann") == []
    assert written(ledger) == []
    for person, address in (("ann", "ann@example.org"), ("bob", "Ann+x@example.org")):
        with pytest.raises(BadOption, match="does not want messages"):
            enter(ledger, person, address)
    digest = KEYS.digest(ChannelKind.EMAIL, "ann@example.org")
    assert ledger.write(channels.unblock, digest)
    assert not ledger.write(channels.unblock, digest)
    enter(ledger)


def test_tests_are_limited_and_need_a_confirmed_address(ledger: Ledger) -> None:
    with pytest.raises(Conflict):
        ledger.write(requests.test, enter(ledger), now=NOW, new_id=new_id)
    made = confirmed(ledger, address="x@example.org")
    for _ in range(requests.TESTS_AN_HOUR):
        ledger.write(requests.test, made, now=NOW, new_id=new_id)
    with pytest.raises(RateLimited):
        ledger.write(requests.test, made, now=NOW, new_id=new_id)
    ledger.write(requests.test, made, now=NOW + timedelta(hours=1), new_id=new_id)


def test_of_two_stewards_one_makes_a_try(ledger: Ledger) -> None:
    confirmed(ledger)
    tell(ledger)
    (first, *_) = [one for one in ledger.read(messages.due, now=NOW, at_most=9) if one.message.event != "confirm"]
    assert ledger.write(messages.begin_try, first.message, next_try_at=NOW + DAY)
    assert not ledger.write(messages.begin_try, first.message, next_try_at=NOW + DAY)
    ledger.write(messages.mark_sent, first.message.id, now=NOW)
    (sent,) = written(ledger, MessageEvent.YOUR_TURN)
    assert (sent.tries, sent.sent_at, sent.params) == (1, NOW, {}), "what it said is not kept"
    assert tell(ledger) == 0, "but that it was said is"


def test_mails_that_are_due_leave_room_for_webhooks_and_for_what_was_removed(ledger: Ledger) -> None:
    confirmed(ledger)
    for number in range(5):
        tell(ledger, mark=f"mail{number}")
    confirmed(ledger, "bob", "https://hooks.example.org/")
    removed = confirmed(ledger, "cat", "cat@example.org")
    for person in ("bob", "cat"):
        tell(ledger, person)
    for one in ledger.read(messages.due, now=NOW, at_most=99):
        if one.message.channel_id == removed.id:
            ledger.write(messages.begin_try, one.message, next_try_at=NOW)
    ledger.write(channels.remove, removed.id)
    found = ledger.read(messages.due, now=NOW, at_most=2)
    kinds = Counter(one.channel.kind if one.channel else None for one in found)
    assert kinds == {ChannelKind.EMAIL: 2, ChannelKind.WEBHOOK: 2, None: 2}


def test_a_failing_channel_says_since_when(ledger: Ledger) -> None:
    made = confirmed(ledger)
    for hours in (1, 2):
        now = NOW + timedelta(hours=hours)
        ledger.write(channels.note_failure, made.id, detail="refused: 550 no", now=now)
    assert (only(ledger).failing_since, only(ledger).detail) == (NOW + timedelta(hours=1), "refused: 550 no")
    assert ledger.read(channels.count) == {(ChannelKind.EMAIL, "failing"): 1}
    ledger.write(channels.note_success, made.id)
    assert (only(ledger).failing_since, only(ledger).detail) == (None, None)


def test_the_administrator_sees_what_is_late(ledger: Ledger) -> None:
    confirmed(ledger)
    send_all(ledger)
    tell(ledger)
    tell(ledger, mark="dropped")
    late, dropped = [one.message for one in ledger.read(messages.due, now=NOW, at_most=9)]
    ledger.write(messages.begin_try, late, next_try_at=NOW + DAY)
    ledger.write(messages.note_try, late.id, detail="slow")
    ledger.write(messages.mark_failed, dropped.id, detail=DROPPED, now=NOW)
    found = ledger.read(messages.deliveries, since=NOW - DAY)[ChannelKind.EMAIL]
    assert (found.waiting, found.late, found.late_since, found.late_detail) == (1, 1, NOW, "slow")
    assert (found.sent, found.failed, found.last_sent_at) == (1, 0, NOW)


def test_old_messages_and_addresses_that_nobody_confirmed_are_deleted(ledger: Ledger) -> None:
    enter(ledger)
    confirmed(ledger, "bob", "bob@example.org")
    send_all(ledger)
    assert ledger.write(channels.prune, before=NOW) == 0
    assert ledger.write(channels.prune, before=NOW + DAY) == 1
    assert ledger.read(channels.of_person, "ann") == []
    assert ledger.write(messages.prune, before=NOW + DAY) == 2
    assert only(ledger, "bob").is_confirmed


# --- what is told -------------------------------------------------------------------------------------------------


def test_whose_turn_comes_after_a_wait_is_told_and_nobody_else(pool: SimulatedPool) -> None:
    ledger = pool.ledger
    for name in ("first", "second"):
        confirmed(ledger, name, f"{name}@example.org", now=pool.time)
    first = pool.ask("first")
    second = pool.ask("second")
    assert written(ledger, MessageEvent.YOUR_TURN) == []
    ledger.write(pool.admission.release, first.id, "cancelled")
    (called,) = pool.call_due()
    assert called.id == second.id
    (told,) = written(ledger, MessageEvent.YOUR_TURN)
    assert told.person_id == "second"
    assert called.hold_until is not None
    assert told.params == {
        "ticket": second.id, "server": "", "flavor": called.flavor, "image": called.image,
        "hold_until": called.hold_until.isoformat(),
    }  # fmt: skip
    ledger.write(slots.release, called.id)
    ledger.write(pool.admission.put_back, called)
    pool.pass_time(5)
    pool.call_due()
    assert Counter(one.person_id for one in written(ledger, MessageEvent.YOUR_TURN)) == {"second": 2}


@pytest.mark.parametrize(
    ("reason", "is_told"),
    [
        (EndReason.DEADLINE, True),
        (EndReason.LOST, True),
        (EndReason.OUT_OF_MEMORY, True),
        (EndReason.NOT_COLLECTED, True),
        (EndReason.STOPPED, False),
        (EndReason.SUPERSEDED, False),
        (EndReason.BANNED, False),
    ],
)
def test_an_end_is_told_where_the_person_did_not_ask_for_it(
    pool: SimulatedPool, reason: EndReason, is_told: bool
) -> None:
    ledger = pool.ledger
    confirmed(ledger, "ann", now=pool.time)
    instance = pool.begin(pool.ask("ann"))
    now = pool.time
    ledger.write(instances.mark_running, instance.id, url="u", now=now, ends_at=now + DAY)
    ledger.write(instances.mark_stopping, instance.id, reason=reason, now=now)
    assert written(ledger, MessageEvent.ENDED) == []
    ledger.write(instances.mark_ended, instance.id, now=now)
    told = written(ledger, MessageEvent.ENDED)
    assert [one.params["reason"] for one in told] == [reason.value] * is_told


def test_a_start_that_failed_is_no_end_of_a_notebook(pool: SimulatedPool) -> None:
    confirmed(pool.ledger, "ann", now=pool.time)
    instance = pool.begin(pool.ask("ann"))
    pool.ledger.write(instances.mark_stopping, instance.id, reason=EndReason.LOST, now=pool.time)
    pool.ledger.write(instances.mark_ended, instance.id, now=pool.time)
    assert written(pool.ledger, MessageEvent.ENDED) == []


def test_maintenance_before_the_end_of_a_session_is_told_while_it_stands(pool: SimulatedPool) -> None:
    ledger, now = pool.ledger, pool.time
    confirmed(ledger, "ann", now=now)
    instance = pool.begin(pool.ask("ann"))
    ledger.write(instances.mark_running, instance.id, url="u", now=now, ends_at=now + DAY)
    closes_at = now + timedelta(minutes=10)
    notice = SessionNotice("n1", instance.id, "ann", Notice.MAINTENANCE, "m", closes_at, now, {"minutes": 10})
    ledger.write(tell_notice, notice)
    (outgoing,) = [one for one in ledger.read(messages.due, now=now, at_most=9) if one.message.event == "deadline"]
    assert ledger.read(is_out_of_date, outgoing, now), "the maintenance was called off"
    value = {"at": closes_at.isoformat(), "reason": ""}
    ledger.write(admin_settings.put, DRAIN, value, by="root", now=now)
    assert not ledger.read(is_out_of_date, outgoing, now)


@pytest.mark.parametrize("until", [None, NOW + DAY])
def test_a_ban_is_told_with_its_reason(ledger: Ledger, until: datetime | None) -> None:
    confirmed(ledger)
    ledger.write(bans.put, Ban("b1", "ann", BanCode.SPAM, "seen", "secret", "mail us", "root", NOW, until))
    (told,) = written(ledger, MessageEvent.BANNED)
    assert told.params == {"code": "spam", "appeal": "mail us", "until": until.isoformat() if until else None}


def test_a_paid_notice_is_told_once(ledger: Ledger) -> None:
    order = make_paid.order("o1")
    confirmed(ledger, order.person_id)

    def notice(connection: Connection) -> Any:
        return audit.tell(
            connection, order, NoticeKind.RUNNING, occasion="o1:1", at=NOW, order_id="o1", params={"instance_type": "x"}
        )

    assert ledger.write(notice)
    assert not ledger.write(notice)
    (told,) = written(ledger, MessageEvent.PAID)
    assert told.params == {"kind": "running", "order": "o1", "instance_type": "x"}
