"""What people have left of a week: holds at the start, charges at the end, refusals, and weeks that end meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from spawner.catalog import Catalog
from spawner.desk.user.cpu_offer import saves_hours
from spawner.errors import NoHours
from spawner.ledger import EndReason, Instance, Ledger
from spawner.ledger.people import groups, people
from spawner.ledger.people.rows import GroupSource, HubUser
from spawner.ledger.pool import instances
from spawner.ledger.pool.rows import TicketState
from spawner.ledger.pool.tables import instances as instances_table
from spawner.ledger.time import charges, grants
from spawner.ledger.time import holds as rows
from spawner.ledger.time.rows import Charge, FloatShare, Grant, GrantSource
from spawner.ledger.time.tables import allowance_grants
from spawner.people_settings import PeopleSettings
from spawner.pool.queue.admission import SpawnRequest
from spawner.pool.time import balance, holds, settle
from spawner.pool.time.balance import Balance
from spawner.pool.time.extensions import Extensions
from spawner.pool.time.metered import Metered
from spawner.pool.time.refusals import TICKET_ENDED
from tests.ledger.conftest import Together
from tests.ledger.pool import CALLED, WAITING, SimulatedPool
from tests.unit import make

HOUR = 3600
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SUNDAY_NIGHT = MONDAY + timedelta(days=7, hours=-1)


def catalog(*, hours: Any = 10, limit: int = 10, zone: str = "UTC", **changes: Any) -> Catalog:
    gpu = make.flavor("gpu", allowance={"class": "gpu"}, limit=limit)
    large = make.flavor("large", allowance={"class": "gpu", "weight": 2}, limit=limit)
    classes = [{"id": "gpu", "title": make.TEXT, "hours": hours}]
    return make.catalog(
        make.flavor("small", limit=limit), gpu, large, allowances={"timezone": zone, "classes": classes}, **changes
    )


@pytest.fixture
def pool(ledger: Ledger) -> SimulatedPool:
    return SimulatedPool(ledger, catalog=catalog(), time=MONDAY + timedelta(days=2))


def balance_of(pool: SimulatedPool, person: str = "ann") -> Balance:
    [found] = pool.ledger.read(balance.balances, pool.catalog, person, pool.time)
    return found


def sums(pool: SimulatedPool, person: str = "ann") -> tuple[int | None, int, int, int | None]:
    found = balance_of(pool, person)
    return found.total, found.used, found.held, found.left


def start(pool: SimulatedPool, user: str = "ann", flavor: str = "gpu", **options: Any) -> Instance:
    return pool.start(user, flavor=flavor, **options)


def charge_of(pool: SimulatedPool, instance: Instance) -> Charge | None:
    return pool.ledger.read(charges.get, instance.id)


def stop(pool: SimulatedPool, instance: Instance, reason: EndReason = EndReason.STOPPED) -> None:
    pool.end(instance, reason)
    pool.finish_endings()


def refused(pool: SimulatedPool, user: str = "ann", flavor: str = "gpu", **options: Any) -> NoHours:
    with pytest.raises(NoHours) as caught:
        pool.ask(user, flavor=flavor, **options)
    return caught.value


def test_reading_a_balance_writes_nothing_and_a_first_start_writes_the_week(pool: SimulatedPool) -> None:
    found = balance_of(pool)
    assert (found.total, found.left) == (10 * HOUR, 10 * HOUR)
    assert (found.week_from, found.resets_at) == (MONDAY, MONDAY + timedelta(days=7))
    assert pool.ledger.read(lambda c: c.execute(select(allowance_grants)).all()) == []
    start(pool)
    [grant] = pool.ledger.read(grants.since, "ann", MONDAY)
    assert (grant.seconds, grant.source, grant.valid_until) == (10 * HOUR, GrantSource.POLICY, found.resets_at)


def test_a_start_sets_its_session_aside_and_only_its_use_is_charged(pool: SimulatedPool) -> None:
    instance = start(pool)
    assert instance.ends_at == pool.time + timedelta(hours=4)
    assert sums(pool) == (10 * HOUR, 0, 4 * HOUR, 6 * HOUR)
    pool.pass_time(1000.9)
    stop(pool, instance)
    assert sums(pool) == (10 * HOUR, 1000, 0, 10 * HOUR - 1000)
    charge = charge_of(pool, instance)
    assert charge is not None
    assert (charge.began_at, charge.until, charge.refunded) == (instance.usable_at, pool.time, 0)


def test_the_time_of_a_start_is_free(pool: SimulatedPool) -> None:
    instance = pool.begin(pool.ask("ann", flavor="gpu"))
    pool.pass_time(600)
    running = pool.run(instance)
    pool.pass_time(60)
    stop(pool, running)
    assert sums(pool)[1] == 60


def test_a_start_that_fails_costs_nothing_and_leaves_no_hold(pool: SimulatedPool) -> None:
    instance = pool.begin(pool.ask("ann", flavor="gpu"))
    assert sums(pool)[2] == 4 * HOUR
    pool.pass_time(600)
    stop(pool, instance, EndReason.START_FAILED)
    assert sums(pool) == (10 * HOUR, 0, 0, 10 * HOUR)
    assert pool.ledger.read(rows.get, instance.id) is None


def test_a_weight_counts_each_hour_so_often(pool: SimulatedPool) -> None:
    instance = start(pool, flavor="large")
    assert sums(pool)[2] == 8 * HOUR
    pool.pass_time(HOUR)
    stop(pool, instance)
    assert sums(pool)[1] == 2 * HOUR


def test_with_little_left_a_run_ends_when_that_is_used(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=1)
    instance = start(pool, flavor="large")
    assert instance.ends_at == pool.time + timedelta(minutes=30)
    pool.pass_time(10 * HOUR)  # the steward was away
    stop(pool, instance, EndReason.DEADLINE)
    assert sums(pool) == (HOUR, HOUR, 0, 0)


def test_without_hours_a_start_is_refused_with_the_reset_and_what_is_free(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=1)
    stopped = start(pool)
    pool.pass_time(HOUR - 299)
    stop(pool, stopped)
    refusal = refused(pool)
    assert refusal.facts == {
        "class": "gpu",
        "left_seconds": 299,
        "held_seconds": 0,
        "resets_at": (MONDAY + timedelta(days=7)).isoformat(),
        "free_flavors": ["small"],
    }
    assert refusal.next_step == "You get new hours on 2026-03-09 00:00 (UTC). Without a limit: small."
    assert pool.alive() == []
    assert pool.ask("ann", flavor="small").state is CALLED
    assert pool.ask("bob", flavor="gpu").state is CALLED


def test_five_minutes_are_enough_for_a_start(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=1)
    stopped = start(pool)
    pool.pass_time(HOUR - 300)
    stop(pool, stopped)
    assert start(pool).ends_at == pool.time + timedelta(minutes=5)


def test_hours_that_are_set_aside_for_another_notebook_are_said_to_be(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=4, instances_per_user=2)
    start(pool)
    refusal = refused(pool, flavor="large", server="two")
    assert refusal.next_step == "Stop that notebook first."
    assert refusal.facts["held_seconds"] == 4 * HOUR


def test_what_runs_on_the_same_server_frees_its_hours_for_the_next(pool: SimulatedPool) -> None:
    """A person queues for another flavor while their notebook runs: it is stopped before the other starts."""
    pool.catalog = catalog(hours=4)
    start(pool)
    pool.pass_time(HOUR)
    assert pool.ask("ann", flavor="large").state is CALLED


def test_a_stop_frees_the_rest_before_the_slot_is_gone(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=4)
    instance = start(pool)
    pool.pass_time(HOUR)
    pool.end(instance)
    assert sums(pool) == (4 * HOUR, HOUR, 0, 3 * HOUR)
    pool.pass_time(120)
    again = start(pool)
    assert again.ends_at == pool.time + timedelta(hours=3)
    pool.finish_endings()
    assert sums(pool)[1] == HOUR


def test_a_restart_with_little_left_gives_what_is_left(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=4)
    instance = start(pool)
    pool.pass_time(3 * HOUR)
    ticket = pool.ledger.write(pool.admission.reserve_replacement, instance)
    pool.end(instance)
    assert pool.run(pool.begin(ticket)).ends_at == pool.time + timedelta(hours=1)


def test_a_restart_that_could_not_run_is_refused_before_the_stop(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=4)
    instance = start(pool)
    pool.pass_time(4 * HOUR - 200)
    with pytest.raises(NoHours):
        pool.ledger.write(pool.admission.reserve_replacement, instance)


@pytest.mark.parametrize("reason", sorted(EndReason))
def test_what_the_platform_ends_is_given_back_with_the_reason(pool: SimulatedPool, reason: EndReason) -> None:
    instance = start(pool)
    pool.pass_time(HOUR)
    stop(pool, instance, reason)
    given_back = {"lost", "evicted", "maintenance", "shutdown", "superseded", "not_collected"}
    charge = charge_of(pool, instance)
    assert charge is not None
    assert charge.seconds == HOUR
    assert (charge.refunded, charge.refund_reason) == ((HOUR, reason) if reason in given_back else (0, None))
    assert sums(pool)[1] == (0 if reason in given_back else HOUR)


def test_a_charge_becomes_lower_when_the_cause_is_found_and_never_higher(pool: SimulatedPool) -> None:
    instance = start(pool)
    pool.pass_time(HOUR)
    died_at = pool.time
    pool.pass_time(HOUR)
    pool.end(instance, EndReason.CRASHED)
    assert sums(pool)[1] == 2 * HOUR  # noticed now
    for at, used in ((died_at, HOUR), (pool.time, HOUR)):
        pool.ledger.write(
            instances.correct_reason, instance.id, reason=EndReason.OUT_OF_MEMORY, detail=None, died_at=at
        )
        pool.ledger.write(settle.settle, instance.id, now=pool.time)
        assert sums(pool)[1] == used
    pool.finish_endings()
    assert sums(pool)[1] == HOUR


def test_a_run_counts_for_the_week_in_which_it_began(pool: SimulatedPool) -> None:
    pool.time = SUNDAY_NIGHT
    instance = start(pool)
    pool.pass_time(2 * HOUR)  # Monday
    assert sums(pool) == (10 * HOUR, 0, 0, 10 * HOUR)
    stop(pool, instance)
    assert sums(pool) == (10 * HOUR, 0, 0, 10 * HOUR)
    pool.pass_time(-2 * HOUR)
    assert sums(pool)[1] == 2 * HOUR


def test_a_start_before_the_reset_that_is_usable_after_it_counts_for_the_week_before(pool: SimulatedPool) -> None:
    pool.time = SUNDAY_NIGHT + timedelta(minutes=59)
    instance = pool.begin(pool.ask("ann", flavor="gpu"))
    pool.pass_time(120)
    running = pool.run(instance)
    pool.pass_time(600)
    stop(pool, running)
    assert sums(pool) == (10 * HOUR, 0, 0, 10 * HOUR)


def test_a_change_of_the_catalog_begins_with_the_next_week_for_who_has_started(pool: SimulatedPool) -> None:
    instance = start(pool)
    pool.catalog = catalog(hours=1)
    assert sums(pool)[0] == 10 * HOUR
    assert sums(pool, "bob")[0] == HOUR
    assert instance.ends_at is not None
    stop(pool, instance)
    pool.time = MONDAY + timedelta(days=7)
    assert sums(pool) == (HOUR, 0, 0, HOUR)


def test_a_class_that_is_removed_while_people_run_limits_no_more_and_what_runs_is_charged(pool: SimulatedPool) -> None:
    instance = start(pool)
    pool.catalog = make.catalog(make.flavor("small"), make.flavor("gpu"))
    pool.pass_time(HOUR)
    stop(pool, instance)
    charge = charge_of(pool, instance)
    assert charge is not None
    assert charge.seconds == HOUR
    assert pool.ledger.read(balance.balances, pool.catalog, "ann", pool.time) == []
    assert start(pool).ends_at == pool.time + timedelta(hours=4)


def test_a_person_who_is_renamed_amid_a_run_pays_for_it_and_who_takes_the_name_does_not(pool: SimulatedPool) -> None:
    def person(hub_id: int, name: str) -> str:
        user = HubUser(hub_id, name, f"2026-03-0{hub_id}T00:00:00Z")
        return pool.ledger.write(people.of_user, user, new_id=pool.new_id, now=pool.time).id

    ann = person(1, "ann")
    instance = pool.run(pool.begin(pool.ledger.write(pool.admission.ask, asks(pool, ann, "ann"))))
    assert person(1, "carol") == ann
    taker = person(2, "ann")
    pool.pass_time(HOUR)
    stop(pool, instance)
    assert sums(pool, ann) == (10 * HOUR, HOUR, 0, 9 * HOUR)
    assert sums(pool, taker) == (10 * HOUR, 0, 0, 10 * HOUR)
    pool.run(pool.begin(pool.ledger.write(pool.admission.ask, asks(pool, ann, "carol"))))
    assert sums(pool, ann) == (10 * HOUR, HOUR, 4 * HOUR, 5 * HOUR), "the new name has no second week"


def asks(pool: SimulatedPool, person_id: str, name: str) -> SpawnRequest:
    return replace(pool.spawn_request(name, flavor="gpu"), person_id=person_id)


def test_a_ledger_restored_from_yesterday_charges_nothing_twice(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    pool = SimulatedPool(sqlite_ledger, catalog=catalog(), time=MONDAY + timedelta(days=2))
    gone, runs_on = (start(pool, user) for user in ("ann", "bob"))
    pool.pass_time(HOUR)
    with closing(sqlite3.connect(tmp_path / "dump")) as dump:
        copy(sqlite_ledger, dump, is_restore=False)
        pool.pass_time(HOUR)
        stop(pool, gone)
        start(pool, "cid")  # of which the dump knows nothing
        assert sums(pool, "ann")[1] == 2 * HOUR
        copy(sqlite_ledger, dump, is_restore=True)
    assert sums(pool, "ann") == (10 * HOUR, 0, 4 * HOUR, 6 * HOUR)
    stop(pool, gone, EndReason.LOST)  # the steward does not find its slot
    pool.pass_time(HOUR)
    stop(pool, runs_on)
    assert sums(pool, "ann") == (10 * HOUR, 0, 0, 10 * HOUR), "how long it ran is not known any more"
    assert sums(pool, "bob") == (10 * HOUR, 3 * HOUR, 0, 7 * HOUR)
    assert sums(pool, "cid") == (10 * HOUR, 0, 0, 10 * HOUR)
    for instance in (gone, runs_on):
        pool.ledger.write(settle.settle, instance.id, now=pool.time)
    assert [sums(pool, user)[1] for user in ("ann", "bob")] == [0, 3 * HOUR]


def copy(ledger: Ledger, dump: sqlite3.Connection, *, is_restore: bool) -> None:
    """What the commands for backup and restore on one machine do."""
    with closing(sqlite3.connect(str(ledger._engine.url.database))) as own:
        source, target = (dump, own) if is_restore else (own, dump)
        source.backup(target)


def test_an_unlimited_class_counts_and_never_refuses(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours="unlimited")
    instance = start(pool, flavor="large")
    pool.pass_time(4 * HOUR)
    stop(pool, instance)
    found = balance_of(pool)
    assert (found.is_unlimited, found.total, found.used, found.left) == (True, None, 8 * HOUR, None)
    start(pool)


def test_groups_have_the_hours_of_their_policy(pool: SimulatedPool) -> None:
    pool.catalog = catalog(policies=[{"for": {"groups": ["course"]}, "allowances": {"gpu": 40}}])
    pool.ledger.write(groups.replace, "ann", GroupSource.LOGIN, ["course"], by="root", now=pool.time)
    assert sums(pool)[0] == 40 * HOUR
    assert sums(pool, "bob")[0] == 10 * HOUR


def test_nobody_waits_for_what_they_have_no_hours_for(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=1, limit=1)
    start(pool, "bob")
    instance = start(pool, "ann", "large")
    pool.pass_time(HOUR / 2)
    stop(pool, instance)
    refused(pool)
    assert [ticket.user_name for ticket in pool.alive()] == []


def test_a_ticket_whose_person_has_no_hours_left_ends_when_its_turn_comes(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=1, limit=1, instances_per_user=2)
    bobs = start(pool, "bob")
    waiting = pool.ask("ann", flavor="gpu", server="two")
    cids = pool.ask("cid", flavor="gpu")
    assert (waiting.state, cids.state) == (WAITING, WAITING)
    start(pool, "ann", "large")  # it holds all of the hour
    stop(pool, bobs)
    assert pool.call_due() == []
    ended = pool.ticket(waiting)
    assert (ended.state, ended.detail) == (TicketState.FAILED, TICKET_ENDED)
    assert [ticket.id for ticket in pool.call_due()] == [cids.id]


def test_two_starts_at_once_never_get_the_same_hour(pool: SimulatedPool, together: Together[object]) -> None:
    pool.catalog = catalog(hours=1, instances_per_user=2)

    def begin(flavor: str) -> object:
        try:
            return pool.ask_and_begin("ann", flavor=flavor, server=flavor)
        except NoHours as refusal:
            return refusal

    for _ in range(4):
        found = together([lambda flavor=flavor: begin(flavor) for flavor in ("gpu", "large")])  # type: ignore[misc]
        assert sorted(type(one).__name__ for one in found) == ["Instance", "NoHours"]
        assert sums(pool) == (HOUR, 0, HOUR, 0)
        stop(pool, next(one for one in found if isinstance(one, Instance)))


def give(pool: SimulatedPool, seconds: int, *, days: float = 1, since: datetime | None = None) -> None:
    """An administrator's grant."""
    since = since or pool.time
    grant = Grant(
        id=pool.new_id(), person_id="ann", class_id="gpu", seconds=seconds, valid_from=since,
        valid_until=since + timedelta(days=days), source=GrantSource.ADMIN, reference=None, reason="event",
        made_by="root", made_at=pool.time,
    )  # fmt: skip
    pool.ledger.write(grants.write, grant)


def test_a_grant_that_ends_first_is_used_first_and_leaves_the_weeks_hours(pool: SimulatedPool) -> None:
    give(pool, 4 * HOUR)
    assert sums(pool) == (14 * HOUR, 0, 0, 14 * HOUR)
    instance = start(pool)
    pool.pass_time(4 * HOUR)
    stop(pool, instance)
    pool.pass_time(24 * HOUR)
    assert sums(pool) == (10 * HOUR, 0, 0, 10 * HOUR)


def test_a_grant_over_several_weeks_is_given_once(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=1)
    give(pool, 4 * HOUR, days=28)
    instance = start(pool)
    pool.pass_time(3 * HOUR)  # the week's hour, and two of the grant
    stop(pool, instance)
    assert sums(pool) == (5 * HOUR, 3 * HOUR, 0, 2 * HOUR)
    pool.time += timedelta(days=7)
    assert sums(pool) == (5 * HOUR, 2 * HOUR, 0, 3 * HOUR)


def test_a_grant_after_the_last_hour_is_not_used_by_what_ran_before(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=1)
    instance = start(pool)
    pool.pass_time(HOUR)
    stop(pool, instance)
    give(pool, HOUR)
    assert sums(pool)[3] == HOUR


def test_the_float_is_given_on_top_at_the_first_use(pool: SimulatedPool) -> None:
    share = FloatShare(class_id="gpu", week=MONDAY, seconds=1800, people=4, unused=7200)
    assert pool.ledger.write(grants.write_float, share)
    assert not pool.ledger.write(grants.write_float, share)
    assert sums(pool)[0] == 10 * HOUR + 1800
    start(pool)
    assert [one.source for one in pool.ledger.read(grants.since, "ann", MONDAY)] == [
        GrantSource.POLICY,
        GrantSource.FLOAT,
    ]
    pool.time = MONDAY + timedelta(days=7)
    assert sums(pool)[0] == 10 * HOUR


def test_an_extension_takes_what_is_left_and_is_refused_beyond_it(pool: SimulatedPool) -> None:
    pool.catalog = catalog(hours=5)
    instance = start(pool)

    def extend(seconds: float) -> object:
        return pool.ledger.write(holds.extend, pool.catalog, instance.id, seconds, now=pool.time, new_id=pool.new_id)

    extend(1800)
    assert sums(pool) == (5 * HOUR, 0, 4.5 * HOUR, HOUR / 2)
    with pytest.raises(NoHours):
        extend(1801)
    pool.pass_time(4.25 * HOUR)
    stop(pool, instance)
    assert sums(pool)[1] == 4.25 * HOUR


def test_an_extension_after_the_reset_takes_the_new_weeks_hours(pool: SimulatedPool) -> None:
    pool.time = SUNDAY_NIGHT
    instance = start(pool)
    pool.pass_time(3.5 * HOUR)
    pool.ledger.write(holds.extend, pool.catalog, instance.id, HOUR, now=pool.time, new_id=pool.new_id)
    assert sums(pool) == (9 * HOUR, 0, 0, 9 * HOUR)
    pool.pass_time(HOUR)  # half an hour of it is used
    stop(pool, instance)
    assert sums(pool)[3] == 9.5 * HOUR
    charge = charge_of(pool, instance)
    assert charge is not None
    assert charge.seconds == 4.5 * HOUR


@pytest.mark.parametrize("used", [0, 200, 600])
def test_what_a_run_borrows_of_the_next_week_is_given_back_where_it_is_not_used(pool: SimulatedPool, used: int) -> None:
    pool.catalog = catalog(hours=4)
    instance = start(pool)
    pool.ledger.write(holds.borrow, pool.catalog, instance.id, 600, now=pool.time, new_id=pool.new_id)
    assert sums(pool)[2:] == (4 * HOUR + 600, 0)
    pool.pass_time(4 * HOUR + used)
    stop(pool, instance)
    pool.ledger.write(settle.settle, instance.id, now=pool.time)
    assert sums(pool) == (4 * HOUR + used, 4 * HOUR + used, 0, 0)
    pool.time = MONDAY + timedelta(days=8)
    assert sums(pool) == (4 * HOUR - used, 0, 0, 4 * HOUR - used)


def test_a_change_of_the_time_zone_gives_no_second_week(pool: SimulatedPool) -> None:
    stop(pool, start(pool))
    pool.catalog = catalog(zone="Asia/Shanghai")
    stop(pool, start(pool))
    assert len(pool.ledger.read(grants.since, "ann", MONDAY)) == 1
    assert balance_of(pool).resets_at == MONDAY + timedelta(days=7)
    pool.time = MONDAY + timedelta(days=7, hours=1)
    assert balance_of(pool).resets_at == MONDAY + timedelta(days=14, hours=-8)


def test_what_ended_without_a_charge_is_settled_later(pool: SimulatedPool) -> None:
    """As in a backup that an older release wrote, or after a database was mended by hand."""
    instance = start(pool)
    pool.pass_time(HOUR)
    ended = {"state": "ended", "stopping_at": pool.time, "ended_at": pool.time, "reason": EndReason.STOPPED}
    table = instances_table
    pool.ledger.write(lambda c: c.execute(update(table).where(table.c.id == instance.id).values(ended)) and None)
    pool.pass_time(HOUR)
    assert pool.ledger.write(settle.settle_forgotten, now=pool.time) == 1
    assert sums(pool) == (10 * HOUR, HOUR, 0, 9 * HOUR)
    assert pool.ledger.write(settle.settle_forgotten, now=pool.time) == 0


def test_pruning_keeps_what_counts(pool: SimulatedPool) -> None:
    instance = start(pool)
    pool.pass_time(HOUR)
    stop(pool, instance)
    pool.ledger.write(charges.prune, before=pool.time)
    pool.ledger.write(grants.prune, before=pool.time)
    assert sums(pool)[1] == HOUR
    pool.time += timedelta(days=30)
    assert pool.ledger.write(charges.prune, before=pool.time) == 1
    assert pool.ledger.write(grants.prune, before=pool.time) == 1
    assert pool.ledger.read(rows.get, instance.id) is None


def test_a_refund_is_less_use_and_not_a_larger_week(pool: SimulatedPool) -> None:
    instance = start(pool)
    pool.pass_time(2 * HOUR)
    stop(pool, instance)
    week = pool.catalog.allowances.week(pool.time)
    for hours, used in ((1.5, 0.5), (3, 0)):
        refund = Grant(
            f"refund-{hours}",
            "ann",
            "gpu",
            round(hours * HOUR),
            week.start,
            week.end,
            GrantSource.REFUND,
            instance.id,
            "",
            "root",
            pool.time,
        )
        pool.ledger.write(grants.write, refund)
        total, now_used, held, left = sums(pool)
        assert (now_used, held) == (used * HOUR, 0)
        assert total == now_used + (left or 0)
    assert total == 12.5 * HOUR, "what is refunded beyond all use is more than the week has"


@pytest.mark.parametrize(
    ("hours", "cpu", "is_worth"),
    [
        (10, {}, True),
        ("unlimited", {}, False),
        (10, {"allowance": {"class": "gpu", "weight": 0.1}}, False),
        (10, {"limit": 0}, False),
    ],
)
def test_a_cpu_is_offered_to_whom_it_saves_hours(
    ledger: Ledger, hours: Any, cpu: dict[str, Any], is_worth: bool
) -> None:
    made = catalog(hours=hours)
    accelerator = {"name": "L4", "resource": "nvidia.com/gpu", "count": 1, "memory": make.GIB}
    flavors = [make.flavor("small", **cpu)]
    flavors += [
        make.flavor(one.id, accelerator=accelerator, allowance={"class": "gpu"})
        for one in made.flavors
        if one.allowance
    ]
    pool = SimulatedPool(ledger, catalog=made.model_copy(update={"flavors": tuple(flavors)}), time=MONDAY)
    metering = Metered(pool.catalog, pool.new_id)
    rules = Extensions(pool.catalog, PeopleSettings(), metering, lambda: pool.time, pool.new_id)
    instance = start(pool)

    def look(connection: Connection) -> bool:
        gpu = metering.state_for(connection, "ann", "gpu", pool.time, "en")
        return saves_hours(connection, rules, instance, gpu, pool.time)

    assert ledger.read(look) is is_worth
