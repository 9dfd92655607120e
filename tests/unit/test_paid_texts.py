"""Texts and times of the paid pages: in the reader's language and time zone, and no longer true ones are left out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from spawner.desk.formats import Formats
from spawner.desk.i18n import load_translations
from spawner.desk.paid.state import PaidSnapshot, PaidViewBuilder
from spawner.desk.paid.texts import cloud_state
from spawner.desk.zones import zone_named
from spawner.ledger.paid.rows import Notice, NoticeKind, Order, OrderState
from spawner.paid.paid import Paid
from tests.paid.make import NOW, order

TEXTS = load_translations()
NIGHT = datetime(2026, 3, 1, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cookie", "english", "chinese", "day"),
    [
        (None, "Mar 1, 2026, 18:30 UTC", "2026年3月1日 18:30 UTC", "Mar 1, 2026"),
        ("Asia/Shanghai", "Mar 2, 2026, 02:30", "2026年3月2日 02:30", "Mar 2, 2026"),
        ("America/New_York", "Mar 1, 2026, 13:30", "2026年3月1日 13:30", "Mar 1, 2026"),
    ],
)
def test_times_are_those_of_the_readers_zone(cookie: str | None, english: str, chinese: str, day: str) -> None:
    zone = zone_named(cookie)
    assert Formats("en", zone).time(NIGHT).replace("\u202f", " ") == english
    assert Formats("zh_Hans_CN", zone).time(NIGHT) == chinese
    assert Formats("en", zone).day(NIGHT) == day


@pytest.mark.parametrize(
    "cookie", ["", "Nowhere/Land", "Europe", "../../etc/passwd", "/etc/passwd", "\x00", "é", "A" * 65, "a\\b", "."]
)
def test_a_cookie_that_names_no_zone_means_utc(cookie: str) -> None:
    assert zone_named(cookie) is UTC


def test_a_clouds_status_is_in_the_users_language() -> None:
    assert cloud_state("Stopping", TEXTS["zh-CN"]) == "停止中"
    assert cloud_state("EnvPreparing", TEXTS["en"]) == "Preparing the environment"
    assert cloud_state("Brewing", TEXTS["zh-CN"]) == "Brewing", "a status that this version does not know"


def shown(row: Order, kind: NoticeKind) -> list[str]:
    """The notices on the pages, where `row` is the user's only order."""
    notice = Notice(1, "mark", row.person_id, "ann", kind, row.id, None, NOW, {"instance_type": "ecs.g6.large"}, None)
    empty: dict[str, Any] = {"bindings": [], "consents": {}, "accepted": [], "records": {}}
    snapshot = PaidSnapshot(paused=False, orders=[row], notices=[notice], **empty)
    nothing = cast(Paid, type("NoClouds", (), {"providers": {}, "reaches": lambda *_: False})())
    view = PaidViewBuilder(snapshot, nothing, TEXTS["en"], "/", demo=False, now=NOW).view()
    return [each.text for each in view.notices]


def test_a_user_reads_that_it_runs_only_while_it_runs() -> None:
    running = order(state=OrderState.ACTIVE, remote_state="running")
    assert shown(running, NoticeKind.RUNNING) == ["Your ecs.g6.large is running. Charges have started."]
    for later_on in (
        order(state=OrderState.ACTIVE, remote_state="running", stop_wanted_at=NOW),
        order(state=OrderState.STOPPING, remote_state="stopping"),
        order(state=OrderState.STOPPED, remote_state="stopped"),
        order(state=OrderState.GONE),
    ):
        assert shown(later_on, NoticeKind.RUNNING) == []
    assert shown(order(state=OrderState.STOPPED), NoticeKind.STOPPED) == ["Your ecs.g6.large has stopped."]


def test_a_run_below_a_minute_is_told_in_seconds() -> None:
    spans = [Formats("zh_Hans_CN").span(seconds) for seconds in (0, 40.7, 60)]
    assert spans == ["0\u00a0分钟", "40\u00a0秒", "1\u00a0分钟"]
