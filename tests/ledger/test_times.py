"""Times in the ledger are stored in UTC, and naive datetimes are rejected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError

from spawner.ledger import Ledger, leases
from spawner.ledger.pool import instances
from tests.ledger.rows import NOW, request


def test_times_come_back_aware_and_in_utc_to_the_microsecond(ledger: Ledger) -> None:
    request(ledger)
    back = ledger.read(instances.get, "i1").requested_at
    assert back == NOW
    assert back.tzinfo is UTC
    assert back.microsecond == NOW.microsecond


def test_a_time_of_another_zone_is_the_same_time(ledger: Ledger) -> None:
    shanghai = timezone(timedelta(hours=8))
    request(ledger)
    ledger.write(instances.mark_running, "i1", url="x", now=NOW, ends_at=NOW.astimezone(shanghai))
    back = ledger.read(instances.get, "i1").ends_at
    assert back == NOW
    assert back is not None
    assert back.utcoffset() == timedelta(0)
    # Comparisons in SQL use the same time, too.
    assert ledger.write(leases.hold, "x", holder="a", now=NOW.astimezone(shanghai), duration=timedelta(seconds=5))
    assert not ledger.write(leases.hold, "x", holder="b", now=NOW, duration=timedelta(seconds=5))


@pytest.mark.parametrize("name", ["now", "ends_at"])
def test_a_naive_time_is_refused(name: str, ledger: Ledger) -> None:
    request(ledger)
    times = {"now": NOW, "ends_at": NOW} | {name: datetime(2026, 3, 1, 12)}  # noqa: DTZ001
    with pytest.raises((ValueError, StatementError), match="times in the ledger are aware"):
        ledger.write(instances.mark_running, "i1", url="x", **times)
    assert ledger.read(instances.get, "i1").usable_at is None
