"""Everything in any order: clicks, crashes, bad luck, time, roles that go and come, people at the cloud's console.

Through the real SDK against the stand-in. What must hold, whatever happens:

* the cloud holds no more instances than there were consents, and each was asked for by its consent's own name;
* nothing is changed in the cloud that no consent stands behind;
* no instance costs more than the caps of its runs, but for what `Walk.allowed` names;
* what runs in the cloud is in the ledger within one sweep, and has its timer or is being ended, while the steward is at
  work and the cloud lets it: see `Watch`;
* once everybody wants everything gone, and all is well, nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from spawner.errors import FreepoolError
from spawner.ledger.paid import consents, orders
from spawner.ledger.paid.rows import OVER, BindingState, Consent, ConsentState, OrderState
from spawner.paid.accounts.binding import in_the_way_of_unlinking
from tests.paid.state_machine import PEOPLE, Watched, counts, failures, kept

EXAMPLES = int(os.environ.get("FREEPOOL_WALKS") or ("25" if os.environ.get("CI") else "12"))
STEPS = 40
FAULTS = [
    ("CreateInstance", ["close_before", "close_after", "html502", "late", "no_id", "throttle", "error", "fail_boot"]),
    ("GetInstance", ["close_before", "empty500", "throttle"]),
    ("ListInstances", ["empty500", "throttle", "half_body"]),
    ("StopInstance", ["close_before", "close_after", "error", "ignored"]),
    ("DeleteInstance", ["close_before", "close_after", "error", "ignored"]),
    ("StartInstance", ["close_before", "close_after", "error"]),
    ("CreateInstanceShutdownTimer", ["close_before", "close_after", "error", "throttle"]),
    ("ListEcsSpecs", ["empty500", "throttle"]),
    ("AssumeRole", ["empty500", "throttle"]),
]
ONE_FAULT = st.sampled_from([(action, kind) for action, kinds in FAULTS for kind in kinds])
ANY = st.integers(0, 99)


class Walk(Watched):
    """One cloud, two people, and a steward that dies."""

    # -- what people do

    @initialize(ticks=st.integers(0, 6))
    def two_at_least(self, ticks: int) -> None:
        """Every walk has something to go wrong with, as far along as it happens to be."""
        for who in PEOPLE:
            self.click(who, "1.30", 3)
        if ticks:
            self.steward(ticks, 20)

    @rule(who=st.sampled_from(list(PEOPLE)), cap=st.sampled_from(["0.65", "0.20"]))
    def one_more(self, who: str, cap: str) -> None:
        """Twice as often as the rest."""
        self.click(who, cap, 3)

    @rule(
        who=st.sampled_from(list(PEOPLE)),
        cap=st.sampled_from(["0.20", "0.65", "1.30"]),
        goes=st.sampled_from([3, 3, 3, 3, 2, 1]),
    )
    def click(self, who: str, cap: str, goes: int) -> None:
        """Ask; agree; order: or only the first of these."""
        with contextlib.suppress(FreepoolError):
            consent = self.do(self.world.ask(self.world.binding(self.links[who]), cap=cap, hours=2, idle_seconds=None))
            self.offered.append(consent)
            if goes > 1:
                self.accepted.append(self.do(self.world.accept(consent)))
            if goes > 2:
                self.place(consent)

    def place(self, consent: Consent) -> None:
        self.world.place(consent)
        self.placed.append(consent)
        counts["ordered"] += 1

    @rule(which=ANY, how=st.sampled_from(["accept", "place"]))
    def click_again(self, which: int, how: str) -> None:
        """An old page, a second tab, a form that is sent twice."""
        if not self.offered:
            return
        consent = self.offered[which % len(self.offered)]
        with contextlib.suppress(FreepoolError):
            if how == "accept":
                self.accepted.append(self.do(self.world.accept(consent)))
            else:
                self.place(consent)

    @rule(which=ANY)
    def start_again(self, which: int) -> None:
        stopped = [order for order in self.orders() if order.state is OrderState.STOPPED]
        if not stopped:
            return
        order = stopped[which % len(stopped)]
        link = self.world.binding(self.links[order.user_name])
        said = ""
        try:
            consent = self.do(self.world.ask(link, cap="0.65", hours=2, order=order, idle_seconds=None))
            self.accepted.append(self.do(self.world.accept(consent)))
            self.place(consent)
            counts["started again"] += 1
        except FreepoolError as error:
            said = error.message
        assert order.is_unwanted or said != "It is not stopped."

    @rule(which=ANY, how=st.sampled_from(["stop", "delete"]))
    def wish(self, which: int, how: str) -> None:
        found = self.orders()
        if found:
            getattr(self.world, how)(found[which % len(found)])
            counts[how] += 1

    @rule(which=ANY, act=st.sampled_from(["stop", "delete", "start"]))
    def console(self, which: int, act: str) -> None:
        found = sorted(self.cloud.instances(), key=lambda one: one["name"])
        if not found:
            return
        one = found[which % len(found)]
        if act == "start":
            if one["status"] == "Stopped":
                self.cloud.console(one["id"], "status", status="Creating", held=False)
                self.found[one["id"]] += 1
                self.watches[one["account"]].trouble()
        else:
            self.cloud.console(one["id"], act)
        counts[f"console {act}"] += 1

    @rule(who=st.sampled_from(list(PEOPLE)), is_given=st.booleans())
    def role(self, who: str, is_given: bool) -> None:
        self.give_role(who, is_given)

    @rule(who=st.sampled_from(list(PEOPLE)))
    def unlink_and_link_again(self, who: str) -> None:
        """As the desk does it, where nothing is in the way. What is stopped stays, and is taken over."""
        link = self.links[who]
        orders_there = self.ledger.read(orders.of_binding, link.id)
        asked = [one for one in self.ledger.read(consents.of_person, who) if one.state is ConsentState.ACCEPTED]
        in_the_way = in_the_way_of_unlinking(orders_there, self.world.time, reaches=self.world.paid.reaches)
        if asked or in_the_way or any(one.blocked for one in orders_there):
            return
        assert self.world.unlink(link, by=who)
        self.links[who] = self.world.link(who, account=PEOPLE[who])
        self.watches[PEOPLE[who]].trouble()
        self.watches[PEOPLE[who]].is_locked_out = False
        counts["linked again"] += 1

    # -- what happens

    @rule(is_made=st.booleans())
    def ledger_of_earlier(self, is_made: bool) -> None:
        """A backup is made; or the steward stops, and begins again with the last one."""
        if is_made or self.backup is None or self.backup[1] != self.links:
            self.backup = self.world.backup(), dict(self.links)
            return
        self.do(self.world.keeper.rest())
        now = self.folder / "ledger.sqlite"
        with closing(sqlite3.connect(self.backup[0])) as old, closing(sqlite3.connect(now)) as ledger:
            old.backup(ledger)
        self.nobody_for(self.world.rules.lease.total_seconds() + 1)
        self.world.keeper = self.world.new_keeper()
        self.do(self.world.tick())
        for one in self.cloud.instances():
            self.found[one["id"]] += 1
        counts["restored"] += 1

    @rule(after=st.integers(0, 60))
    def another_steward(self, after: int) -> None:
        """A steward loses its lease in the middle of a round, which it ends while another one has begun."""

        async def overlap() -> None:
            old, self.world.keeper = self.world.keeper, self.world.new_keeper()
            working = asyncio.create_task(old.tick())
            await asyncio.sleep(after / 1000)
            self.nobody_for(self.world.rules.busy + 1)
            await asyncio.gather(working, self.world.keeper.tick())
            assert not await old.tick()
            await old.rest()

        self.do(overlap())
        counts["other stewards"] += 1

    @rule(seconds=st.sampled_from([-20, 45, 500]))
    def clock_step(self, seconds: int) -> None:
        """Our own clock is set. The cloud's is not."""
        self.world.time += timedelta(seconds=seconds)
        for watch in self.watches.values():
            watch.trouble()
        counts["clock steps"] += 1

    @rule()
    def region_hangs(self) -> None:
        """One does not answer, and nobody waits for it."""
        self.cloud.fault("ListInstances", "hang_before", seconds=1.1)
        self.nobody_for(1)
        self.do(self.world.keeper.tick(patience=0.05))
        counts["hanging"] += 1

    @rule(fault=ONE_FAULT, times=st.integers(1, 4))
    def fault(self, fault: tuple[str, str], times: int) -> None:
        action, kind = fault
        self.cloud.fault(
            action, kind, times=times, seconds=90 if kind == "late" else 5, status=500, code="InternalError"
        )
        counts["faults"] += times

    @rule(seconds=st.sampled_from([10, 60, 300, 4000, 12000]))
    def nobody_works(self, seconds: int) -> None:
        self.nobody_for(seconds)

    @rule(ticks=st.integers(3, 12), step=st.sampled_from([1, 5, 20]))
    def goes_on(self, ticks: int, step: int) -> None:
        """Twice as often as the rest."""
        self.steward(ticks, step)

    @rule(ticks=st.integers(3, 12), step=st.sampled_from([5, 1, 20]))
    def steward(self, ticks: int, step: int) -> None:
        for _ in range(ticks):
            self.goes(step)
            counts["ticks"] += 1

    @rule(after=st.integers(0, 60))
    def crash(self, after: int) -> None:
        """The steward is killed some milliseconds into a round, and its calls may or may not have been sent."""

        async def die() -> None:
            working = asyncio.create_task(self.world.keeper.tick())
            await asyncio.sleep(after / 1000)
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
            await self.world.crash(lease=False)

        self.do(die())
        self.nobody_for(self.world.rules.lease.total_seconds() + 1)
        counts["crashes"] += 1

    @rule(luck=st.integers(0, 3))
    def all_is_well(self, luck: int) -> None:
        """And so within a minute all is as it should be. Or else nothing has happened."""
        if luck:
            return self.start_again(luck)
        self.mend()
        for _ in range(5):
            self.goes(20)
        counts["well"] += 1

    def teardown(self) -> None:
        try:
            self.mend()
            for order in self.orders():
                self.world.delete(order)
            self.work(900)
            self.nothing_is_changed_without_a_consent()
            self.nobody_owes_more_than_agreed()
            self.nothing_is_left()
        finally:
            self.do(self.world.close())
            self.exits.close()

    @kept
    def nothing_is_left(self) -> None:
        """Once everybody wants everything gone, and all is well."""
        assert self.cloud.instances() == []
        assert {order.state for order in self.orders()} <= {*OVER, OrderState.UNKNOWN}
        for link in self.links.values():
            assert self.world.binding(link).state is BindingState.ACTIVE
        counts.update(f"{order.state}: {order.reason}" for order in self.orders())
        counts["instances"] += len(self.cloud.instances(past=True))


@pytest.mark.timeout(120 + 60 * EXAMPLES)
def test_whatever_happens_nobody_pays_for_what_they_did_not_agree_to(
    migrated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Walk.migrated = migrated
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    failures.clear()
    try:
        run_state_machine_as_test(Walk, settings=chosen)
    except Exception:
        if failures:
            pytest.fail(failures[0])
        raise
    with capsys.disabled():
        print("\n" + ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))
    assert counts["mutations"] > 5 * EXAMPLES
    assert counts["instances"] > EXAMPLES
    if EXAMPLES >= 40:  # which rules a walk takes is left to chance
        assert counts["crashes"] > EXAMPLES / 2
