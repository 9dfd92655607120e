"""A person's history in words and as a file."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from spawner.desk.allowances import ENDS, SOURCES, amount, end_in_short
from spawner.desk.i18n import load_translations
from spawner.desk.user.history_csv import (
    BYTE_ORDER_MARK,
    GRANT_COLUMNS,
    RUN_COLUMNS,
    cell,
    grant_lines,
    header,
    run_lines,
)
from spawner.desk.user.history_view import grant_view, run_view
from spawner.ledger import EndReason, InstanceState
from spawner.ledger.pool.run_history import Cursor, Run
from spawner.ledger.time.rows import Charge, EndSource, Grant, GrantSource, Hold
from tests.unit import make
from tests.unit.make import NOW

TEXTS = load_translations()
CATALOG = make.catalog()
SHANGHAI = ZoneInfo("Asia/Shanghai")
ENDED = make.instance(
    "i1", InstanceState.ENDED, usable_at=NOW, stopping_at=NOW + timedelta(minutes=61),
    ended_at=NOW + timedelta(minutes=70), reason=EndReason.LOST,
)  # fmt: skip


def charge(**changes: Any) -> Charge:
    values: dict[str, Any] = {
        "instance_id": "i1", "person_id": "p", "class_id": "gpu", "weight": 1.0, "began_at": NOW,
        "until": NOW + timedelta(hours=1), "end_source": EndSource.DEATH, "seconds": 3600, "refunded": 0,
        "refund_reason": None, "charged_at": NOW,
    }  # fmt: skip
    return Charge(**values | changes)


def grant(source: GrantSource = GrantSource.ADMIN, **changes: Any) -> Grant:
    values: dict[str, Any] = {
        "id": "g1", "person_id": "p", "class_id": "gpu", "seconds": 7200, "valid_from": NOW,
        "valid_until": NOW + timedelta(days=2), "source": source, "reference": None, "reason": "course",
        "made_by": "ann", "made_at": NOW,
    }  # fmt: skip
    return Grant(**values | changes)


def read(text: str) -> list[dict[str, str]]:
    assert text.startswith(BYTE_ORDER_MARK)
    return list(csv.DictReader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline="")))


def test_a_run_ends_when_its_use_ended_and_not_when_its_files_were_gone() -> None:
    assert run_view(Run(ENDED, charge()), CATALOG, TEXTS["en"]).ended_at == NOW + timedelta(hours=1)
    assert run_view(Run(ENDED), CATALOG, TEXTS["en"]).ended_at == NOW + timedelta(minutes=61)
    assert run_view(Run(make.instance("i2")), CATALOG, TEXTS["en"]).ended_at is None


def test_what_was_charged_and_given_back_is_said_with_every_reason() -> None:
    refund = grant(GrantSource.REFUND, seconds=600, reference="i1", reason="slow disk")
    use = run_view(Run(ENDED, charge(refunded=3000, refund_reason="lost"), None, (refund,)), CATALOG, TEXTS["en"]).use
    assert use is not None
    assert (use.charged_seconds, use.refunded_seconds, use.held_seconds) == (3600, 3600, 0)
    assert use.refund_reasons == ["A problem on our side", "slow disk"]


def test_a_running_instance_shows_what_is_set_aside() -> None:
    hold = Hold("i2", "p", "gpu", 2.0, 7200, NOW)
    use = run_view(Run(make.instance("i2"), None, hold), CATALOG, TEXTS["en"]).use
    assert use is not None
    assert (use.charged_seconds, use.held_seconds, use.weight) == (0, 7200, 2.0)


def test_what_the_catalog_does_not_have_any_more_is_shown_by_its_id() -> None:
    view = run_view(Run(make.instance("i", flavor="gone", image="old"), charge()), CATALOG, TEXTS["en"])
    assert (view.flavor_title, view.image_title) == ("gone", "old")
    assert view.use is not None
    assert view.use.class_title == "gpu"


def test_only_administrators_are_named_beside_what_they_gave() -> None:
    by_hand, weekly = (
        grant_view(grant(source), CATALOG, TEXTS["en"]) for source in (GrantSource.ADMIN, GrantSource.POLICY)
    )
    assert (by_hand.by, by_hand.reason) == ("ann", "course")
    assert (weekly.by, weekly.reason, weekly.source_text) == (None, "", "Weekly hours")


def test_every_end_and_every_source_has_words_in_both_languages() -> None:
    assert {reason.value for reason in EndReason} <= set(ENDS)
    assert set(SOURCES) == set(GrantSource)
    assert end_in_short(EndReason.DEADLINE, TEXTS["zh-CN"]) == "达到时长上限"


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0, "0\u00a0sec", "0\u00a0秒"),
        (59, "59\u00a0sec", "59\u00a0秒"),
        (60, "1\u00a0min", "1\u00a0分钟"),
        (23040, "6\u00a0hr\u00a024\u00a0min", "6\u00a0小时\u00a024\u00a0分钟"),
        (36000, "10\u00a0hr", "10\u00a0小时"),
        (3599, "1\u00a0hr", "1\u00a0小时"),
        (-600, "\u221210\u00a0min", "\u221210\u00a0分钟"),
    ],
)
def test_amounts(seconds: int, english: str, chinese: str) -> None:
    assert (amount(seconds, "en"), amount(seconds, "zh-CN")) == (english, chinese)


def test_the_file_has_a_byte_order_mark_and_a_line_for_each_run() -> None:
    view = run_view(Run(ENDED, charge(refunded=60, refund_reason="lost")), CATALOG, TEXTS["zh-CN"])
    text = header(RUN_COLUMNS) + run_lines([view], SHANGHAI)
    assert text.encode().startswith(b"\xef\xbb\xbfid,user,")
    assert text.count("\r\n") == 2
    assert text.replace("\r\n", "").count("\n") == 0
    (row,) = read(text)
    assert row["usable_at"] == "2026-03-01T20:00:00+08:00"
    assert (row["charged_seconds"], row["refunded_seconds"], row["weight"], row["class"]) == ("3600", "60", "1", "gpu")
    assert (row["reason"], row["reason_text"], row["refund_reasons"]) == ("lost", "平台故障", "平台故障")


def test_a_run_without_an_allowance_has_empty_cells() -> None:
    (row,) = read(header(RUN_COLUMNS) + run_lines([run_view(Run(make.instance("i")), CATALOG, TEXTS["en"])], UTC))
    assert (row["ended_at"], row["class"], row["charged_seconds"], row["reason"]) == ("", "", "", "")


@pytest.mark.parametrize(
    "hostile",
    [
        "=HYPERLINK(\"http://x\")", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1",
        "\uff0b1", "\uff0d1", "\uff20x",
    ],
)  # fmt: skip
def test_a_text_that_a_spreadsheet_would_run_is_a_text(hostile: str) -> None:
    run = run_view(Run(make.instance("i", user_name=hostile)), CATALOG, TEXTS["en"])
    (row,) = read(header(RUN_COLUMNS) + run_lines([run], UTC))
    assert row["user"] == f"'{hostile}"


@pytest.mark.parametrize("harmless", ['a"b', "a,b", "a\r\nb", "王小明", "a=b", "'quoted'"])
def test_every_other_text_is_read_as_it_was(harmless: str) -> None:
    (row,) = read(header(GRANT_COLUMNS) + grant_lines([grant_view(grant(reason=harmless), CATALOG, TEXTS["en"])], UTC))
    assert row["reason"] == harmless


def test_a_debit_stays_a_number() -> None:
    (row,) = read(header(GRANT_COLUMNS) + grant_lines([grant_view(grant(seconds=-600), CATALOG, TEXTS["en"])], UTC))
    assert row["seconds"] == "-600"
    assert cell(None, UTC) == ""


@pytest.mark.parametrize("text", ["", "x", ".", "1.", ".a", "-1.a", "1e3.a", "\u0661.a", "9" * 18 + ".a"])
def test_no_other_text_is_a_cursor(text: str) -> None:
    assert Cursor.parse(text) is None


def test_a_cursor_is_read_as_it_was_written() -> None:
    cursor = Cursor(datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), "abc-1")
    assert Cursor.parse(str(cursor)) == cursor
    assert Cursor.parse("99999999999999999.a") is not None
