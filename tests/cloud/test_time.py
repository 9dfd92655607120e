"""What time does in the stand-in: booting, billing by the minute, timers, and wiping."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from spawner.demo_cloud.clock import Clock
from spawner.demo_cloud.notebooks import billing
from spawner.demo_cloud.notebooks.instance import GONE, Culler, Instance, Pace

START = datetime(2026, 1, 1, tzinfo=UTC)
PACE = Pace()


def instance(**changes: object) -> Instance:
    """One that was just made."""
    fields = {
        "id": "dsw-1",
        "name": "one",
        "account": "2",
        "region": "cn-hangzhou",
        "workspace": "21",
        "instance_type": "ecs.g6.large",
        "price": Decimal("0.65"),
        "disk": 100,
        "creator": "acs:ram::2:role/x",
        "created": START,
        "since": START,
        **changes,
    }
    return Instance(**fields)  # type: ignore[arg-type]


def at(seconds: float) -> datetime:
    """So long after the start."""
    return START + timedelta(seconds=seconds)


def owed(one: Instance, seconds: float) -> Decimal:
    """The whole bill at a moment."""
    one.settle(at(seconds), PACE)
    return sum((line.amount for line in billing.lines(one, at(seconds))), Decimal(0))


def test_it_boots_through_every_stage() -> None:
    """However coarsely one looks, nothing is skipped in its history."""
    one = instance()
    one.settle(at(3600), PACE)
    assert one.status == "Running"
    assert [event.split()[-1] for event in one.events] == ["ResourceAllocating", "EnvPreparing", "Starting", "Running"]
    assert one.running_seconds(at(3600)) == 3540


def test_money_is_exact_and_by_begun_minutes() -> None:
    """From when a machine is held (20 s after create) until it is given back."""
    assert owed(instance(), 20) == 0
    assert owed(instance(), 21) == Decimal("0.65") / 60
    assert owed(instance(), 80) == Decimal("0.65") / 60
    assert owed(instance(), 81) == Decimal("0.65") * 2 / 60
    assert owed(instance(), 20 + 3600) == Decimal("0.65")
    assert owed(instance(price=Decimal("14.1")), 20 + 36000) == Decimal("141.0")


def test_many_short_looks_cost_no_more_than_one_long_one() -> None:
    """What is owed does not depend on how often one asks."""
    often, once = instance(disk=150), instance(disk=150)
    for seconds in range(0, 7200, 7):
        owed(often, seconds)
    assert owed(often, 7200) == owed(once, 7200)


def test_a_disk_costs_while_stopped_and_what_is_included_does_not() -> None:
    """Only what is beyond 100 GiB."""
    for disk, hourly in ((100, Decimal(0)), (150, billing.DISK_PRICE * 50)):
        one = instance(disk=disk)
        one.settle(at(60), PACE)
        one.change("Stopping", at(60))
        before = owed(one, 3600)
        assert (owed(one, 7200) - before).quantize(Decimal("1e-20")) == hourly


def test_a_timer_stops_it_alone() -> None:
    """The bill is what the timer allows, plus the time that stopping takes, in begun minutes."""
    one = instance(due=at(620))
    assert owed(one, 100_000) == Decimal("0.65") * 11 / 60
    assert one.status == "Stopped"
    assert one.due is None
    assert one.runs[0].end == at(635)


def test_a_timer_that_is_due_while_it_boots_stops_it_then() -> None:
    """Nobody has to wait for the boot to end."""
    one = instance(due=at(30))
    one.settle(at(100), PACE)
    assert (one.status, one.running_seconds(at(100))) == ("Stopped", 0)


def test_the_culler_counts_from_the_last_use() -> None:
    """And only while it runs."""
    one = instance(culler=Culler(timedelta(minutes=30), 10, 10))
    one.settle(at(60 + 1000), PACE)
    one.used = at(60 + 1000)
    one.settle(at(60 + 1000 + 1799), PACE)
    assert one.status == "Running"
    one.settle(at(60 + 1000 + 1800), PACE)
    assert one.status == "Stopping"


def test_fifteen_days_stopped_wipe_the_included_disk_only() -> None:
    """As the price list says."""
    days = 24 * 3600
    for disk, wiped in ((100, True), (150, False)):
        one = instance(disk=disk)
        one.settle(at(60), PACE)
        one.change("Stopping", at(60))
        one.settle(at(14 * days), PACE)
        assert not one.wiped
        one.settle(at(16 * days), PACE)
        assert one.wiped is wiped


def test_deleting_takes_a_moment_and_ends_the_bill() -> None:
    """What is gone costs nothing more, its disk included."""
    one = instance(disk=150)
    one.settle(at(60), PACE)
    one.change("Stopping", at(60))
    one.settle(at(100), PACE)
    one.change("Deleting", at(100))
    one.settle(at(200), PACE)
    assert (one.status, one.gone) == (GONE, at(110))
    assert owed(one, 100_000) == owed(one, 200)


@pytest.mark.parametrize("status", ["Hibernating", "Recovering"])
def test_a_status_that_nobody_knows_goes_on_billing(status: str) -> None:
    """So that whoever takes it for stopped is found out."""
    one = instance()
    one.settle(at(120), PACE)
    one.held = True
    one.change(status, at(120))
    assert owed(one, 20 + 3600) == Decimal("0.65")


def test_a_boot_that_fails_is_not_billed() -> None:
    """It never held a machine."""
    one = instance(fails=("NoStock", "no machine"))
    assert owed(one, 3600) == 0
    assert (one.status, one.reason) == ("Failed", ("NoStock", "no machine"))


def test_the_clock_stands_runs_and_jumps() -> None:
    """As it is told."""
    real = [100.0]
    clock = Clock(START, speed=0, monotonic=lambda: real[0])
    real[0] += 50
    assert clock.now() == START
    clock.advance(60)
    clock.speed = 10
    real[0] += 6
    assert clock.now() == at(120)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
