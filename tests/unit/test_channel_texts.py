"""What messages to users say, in both languages."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from spawner.channel_settings import MailServer
from spawner.channels import sentences, texts, translations
from spawner.channels.keys import ChannelKeys
from spawner.channels.mail import as_mail
from spawner.channels.texts import Writer, webhook_body
from spawner.ledger.channels.rows import Channel, ChannelKind, Message, MessageEvent
from spawner.ledger.paid.rows import NoticeKind
from spawner.ledger.people.bans import REASONS
from spawner.ledger.pool.end_texts import END_TEXTS
from spawner.ledger.pool.rows import EndReason
from spawner.ledger.pool.told import NOT_TOLD
from tests.unit.make import NOW

KEYS = ChannelKeys("secret")
DESK = "https://lab.example.org/services/desk/"
WRITER = Writer("https://lab.example.org/", DESK, KEYS, title=lambda flavor, language: f"{flavor} in {language}")
CHANNEL = Channel(
    "c1", "p1", ChannelKind.EMAIL, "ann@example.org", "en", [], NOW, None, NOW + timedelta(hours=24), confirmed_at=NOW
)
TOLD_ENDS = {reason.value: text.what for reason, text in END_TEXTS.items() if reason not in NOT_TOLD}
CHINESE = translations.translations("zh-CN").translations
SOON = (NOW + timedelta(minutes=9, seconds=10)).isoformat()
PARAMS: dict[MessageEvent, dict[str, Any]] = {
    MessageEvent.YOUR_TURN: {"flavor": "gpu", "hold_until": SOON},
    MessageEvent.DEADLINE: {"flavor": "gpu", "ends_at": SOON, "instance": "i"},
    MessageEvent.IDLE: {"flavor": "gpu", "ends_at": SOON, "instance": "i"},
    MessageEvent.ENDED: {"flavor": "gpu", "reason": "lost"},
    MessageEvent.BANNED: {"code": "mining", "until": SOON, "appeal": "mail {us}"},
    MessageEvent.PAID: {"kind": "running", "instance_type": "ecs.gn6v"},
    MessageEvent.CONFIRM: {},
    MessageEvent.TEST: {},
}


def message(event: MessageEvent, **params: Any) -> Message:
    return Message("m1", "c1", "p1", event, "mark", PARAMS[event] | params, NOW, NOW)


def letter(event: MessageEvent, language: str = "en", **params: Any) -> texts.Letter:
    return WRITER.letter(message(event, **params), replace(CHANNEL, language=language), name="ann", now=NOW)


def test_the_catalogue_has_all_tables_the_same_placeholders_and_nothing_unused() -> None:
    tables = {text for table in (TOLD_ENDS, sentences.PAID, REASONS) for text in table.values()}
    assert tables | {sentences.PAID_NEWS} <= CHINESE.keys()
    source = re.sub(r'"\s*\n\s*"', "", Path(texts.__file__).read_text())
    for text, translation in CHINESE.items():
        names = [{name for _, name, _, _ in Formatter().parse(one) if name} for one in (text, translation)]
        assert names[0] == names[1], text
        assert text in tables or text == sentences.PAID_NEWS or f'"{text}"' in source, f"{text} is not used"
    assert "您" not in "".join(CHINESE.values())


@pytest.mark.parametrize("event", MessageEvent)
def test_no_english_sentence_is_left_in_a_chinese_message(event: MessageEvent) -> None:
    found = letter(event, "zh-CN")
    kept = re.sub(r"https://\S+|[0-9: -]+UTC", "", found.subject + found.text)
    words = set(re.findall(r"[A-Za-z]{3,}", kept))
    assert words <= {"Freepool", "Notebook", "ann", "gpu", "mail", "ecs"}, words


@pytest.mark.parametrize(
    ("event", "subject", "said"),
    [
        (MessageEvent.YOUR_TURN, "It is your turn: gpu in en", "reserved for you until 2026-03-01 12:09 UTC"),
        (
            MessageEvent.DEADLINE,
            "Your notebook stops in 10 minutes",
            "(gpu in en) is about to reach its time limit. It stops at 2026-03-01",
        ),
        (MessageEvent.IDLE, "Your notebook stops in 10 minutes", "(gpu in en) is not being used"),
        (
            MessageEvent.ENDED,
            "Your notebook has ended",
            "on our side. We are sorry. Machine type: gpu in en.",
        ),
        (
            MessageEvent.BANNED,
            "Your account is banned",
            "cryptocurrency mining.\n\nThe ban ends on 2026-03-01",
        ),
        (MessageEvent.PAID, "Your paid notebook", "Your ecs.gn6v is running. Charges have started."),
    ],
)
def test_a_message_says_what_happens_and_where_to_go(event: MessageEvent, subject: str, said: str) -> None:
    found = letter(event)
    assert found.subject == subject
    assert said in found.text
    assert DESK in found.text
    assert f"{DESK}channel/unsubscribe?channel=c1&key={KEYS.unsubscribe_key('c1')}" in found.text


def test_one_minute_is_not_minutes() -> None:
    soon = (NOW + timedelta(seconds=50)).isoformat()
    assert letter(MessageEvent.DEADLINE, ends_at=soon).subject == "Your notebook stops in 1 minute"
    past = (NOW - timedelta(seconds=50)).isoformat()
    assert letter(MessageEvent.DEADLINE, ends_at=past).subject == "Your notebook stops in 1 minute"


def test_a_parameter_of_a_user_is_no_placeholder() -> None:
    assert "You can appeal: mail {us}" in letter(MessageEvent.BANNED).text


def test_the_first_message_has_the_code_and_names_who_asked_but_no_long_name() -> None:
    found = letter(MessageEvent.CONFIRM)
    assert found.url == f"{DESK}channel/confirm?channel=c1&code={KEYS.code(CHANNEL)}"
    assert found.url in found.text
    assert found.unsubscribe_url == ""
    assert "ann wants to receive messages" in found.text
    advert = "Buy-at-shop.example-" * 12
    long = WRITER.letter(message(MessageEvent.CONFIRM), CHANNEL, name=advert, now=NOW)
    assert advert[:63] + "… wants" in long.text
    assert len(KEYS.code(CHANNEL)) == 32


def test_every_unasked_end_and_every_paid_notice_has_words() -> None:
    assert {reason.value for reason in EndReason} - NOT_TOLD <= set(TOLD_ENDS)
    assert set(sentences.PAID) == set(NoticeKind)
    assert letter(MessageEvent.PAID, kind="new_kind").text.startswith(sentences.PAID_NEWS)
    assert "Your notebook has ended. Machine type: gpu in en.\n" in letter(MessageEvent.ENDED, reason="new_reason").text


def test_an_end_by_maintenance_is_not_told_as_a_time_limit() -> None:
    for language, limit, maintenance in (("en", "time", "maintenance"), ("zh-CN", "达到时长上限", "维护")):
        assert limit in letter(MessageEvent.DEADLINE, language).summary
        told = letter(MessageEvent.DEADLINE, language, kind=texts.MAINTENANCE).summary
        assert maintenance in told
        assert "上限" not in told
        assert "time limit" not in told


def test_a_mail_is_plain_text_and_can_be_unsubscribed_by_one_click() -> None:
    server = MailServer.model_validate(
        {"host": "localhost", "sender": "lab@example.org", "sender_name": "Frée pool", "reply_to": "help@example.org"}
    )
    mail = as_mail(letter(MessageEvent.YOUR_TURN, "zh-CN"), server, "ann@example.org")
    assert mail.get_content_type() == "text/plain"
    assert mail["List-Unsubscribe"] == f"<{DESK}channel/unsubscribe?channel=c1&key={KEYS.unsubscribe_key('c1')}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (mail["From"], mail["Reply-To"]) == ("Frée pool <lab@example.org>", "help@example.org")
    assert mail["Message-ID"] == "<m1@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "轮到你了" in mail["Subject"]
    assert mail.as_bytes().isascii()


def test_a_line_break_in_a_title_adds_no_header() -> None:
    writer = replace(WRITER, title=lambda *_: "x\r\nBcc: victim@example.org")
    found = writer.letter(message(MessageEvent.YOUR_TURN), CHANNEL, name="ann", now=NOW)
    server = MailServer.model_validate({"host": "localhost", "sender": "lab@example.org"})
    with pytest.raises(ValueError, match="linefeed"):
        as_mail(found, server, "ann@example.org")


def test_a_webhook_gets_words_and_facts_and_a_code_only_in_its_link() -> None:
    sent = message(MessageEvent.YOUR_TURN)
    body = webhook_body(letter(MessageEvent.YOUR_TURN), sent, CHANNEL)
    assert body["type"] == "your_turn"
    assert body["data"]["facts"] == {"flavor": "gpu", "hold_until": SOON}
    assert body["data"]["title"] == "It is your turn: gpu in en"
    first = webhook_body(letter(MessageEvent.CONFIRM), message(MessageEvent.CONFIRM, expires_at="x"), CHANNEL)
    assert first["data"]["facts"] == {}
    assert KEYS.code(CHANNEL) in first["data"]["url"]
