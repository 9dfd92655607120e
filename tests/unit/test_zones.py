"""Times are in the reader's zone and language, and say UTC where the zone is not known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spawner.desk.zones import time_text, zone_named

AT = datetime(2026, 11, 27, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "locale", "text"),
    [
        ("Asia/Shanghai", "en", "Nov 28, 2026, 04:30"),
        ("Asia/Shanghai", "zh_Hans_CN", "2026年11月28日 04:30"),
        (None, "en", "Nov 27, 2026, 20:30 UTC"),
        ("no/such", "zh_Hans_CN", "2026年11月27日 20:30 UTC"),
    ],
)
def test_a_time_is_in_the_readers_zone(zone: str | None, locale: str, text: str) -> None:
    assert time_text(AT, zone_named(zone), locale) == text
