"""Durations in words, and the text of a notebook's end at its time limit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spawner.desk.durations import in_words
from spawner.desk.i18n import load_translations
from spawner.desk.user.ends import end_text
from spawner.ledger import EndReason, InstanceState
from tests.unit.make import NOW, instance


@pytest.mark.parametrize(
    ("length", "english", "chinese"),
    [
        (timedelta(hours=4), "4 hours", "4\u00a0小时"),
        (timedelta(hours=1), "1 hour", "1\u00a0小时"),
        (timedelta(minutes=90, seconds=20), "1 hour 30 minutes", "1\u00a0小时 30\u00a0分钟"),
        (timedelta(hours=3, minutes=59, seconds=59.9), "4 hours", "4\u00a0小时"),
        (timedelta(minutes=1), "1 minute", "1\u00a0分钟"),
        (timedelta(seconds=2), "", ""),
    ],
)
def test_a_duration_is_in_hours_and_minutes(length: timedelta, english: str, chinese: str) -> None:
    assert in_words(length, "en") == english
    assert in_words(length, "zh-CN") == chinese


@pytest.mark.parametrize(
    ("seconds", "language", "text"),
    [
        (14_400, "en", "Your notebook reached its time limit of 4 hours. Its files were deleted."),
        (14_400, "zh-CN", "你的 Notebook 已达到 4\u00a0小时的时长上限。其中的文件已被删除。"),
        (2, "en", "Your notebook reached its time limit. Its files were deleted."),
    ],
)
def test_who_reached_the_time_limit_reads_how_long_it_was(seconds: int, language: str, text: str) -> None:
    ended = instance("i1", InstanceState.ENDED, usable_at=NOW, ends_at=NOW + timedelta(seconds=seconds))
    assert end_text(ended, EndReason.DEADLINE, load_translations()[language], now=NOW) == text
