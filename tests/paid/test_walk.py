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
import functools
import os
import shutil
import sqlite3
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from spawner.errors import FreepoolError
from spawner.ledger import Ledger, bindings, consents, open_ledger, orders
from spawner.ledger.paid_model import OVER, Binding, BindingState, Consent, ConsentKind, ConsentState, Order, OrderState
from spawner.paid.asking import name_of
from spawner.paid.binding import in_the_way_of_unlinking
from tests.cloud.steer import ADA, LI, cloud_in_thread
from tests.paid.make import NOW
from tests.paid.world import PRICE, World

EXAMPLES = int(os.environ.get("FREEPOOL_WALKS", "8"))
STEPS = 40
PEOPLE = {"ann": ADA, "bob": LI}
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
RUN_SLACK = PRICE / 60 * 4
"""Of one run: a begun minute, the time that a stop takes, and what the cloud counts before we know."""
FOUND_SLACK = PRICE / 60 * 38
"""Of what is found and was not ordered, each time: its half hour, and what a run may have beyond."""
SWEEP = 75
"""Seconds in which each account is looked through once, with what follows from it, and a step of the walk."""
UNARMED = 60 + 25
"""Seconds that something may run without a timer before it is asked to stop, and a step of the walk."""

counts: Counter[str] = Counter()


class Watch:
    """How one account is looked after: for how long the steward has been at work there with nothing in its way.

    What goes wrong costs it a pause, twice as long each time: for so long, and one sweep, nothing is expected of it.
    """

    def __init__(self) -> None:
        self.is_locked_out = False
        self.calm, self.bad = 0.0, 0

    def trouble(self, times: int = 0) -> None:
        self.calm = 0.0
        self.bad += times

    def passes(self, seconds: float) -> None:
        self.calm += seconds
        if self.is_well:
            self.bad = 0

    @property
    def is_well(self) -> bool:
        pause = min(225.0, 1.5 * 2 ** (self.bad + 1)) if self.bad else 0.0
        return not self.is_locked_out and self.calm > SWEEP + pause


failures: list[str] = []
"""What was found, as it was found: threads and a clock are in it, so hypothesis may not see it a second time."""


def kept(check: Callable[[Walk], None]) -> Callable[[Walk], None]:
    """Remember how a check failed, and after what."""

    @functools.wraps(check)
    def run(walk: Walk) -> None:
        try:
            check(walk)
        except AssertionError:
            last = [f"{call.at} {call.action} {call.fault} {call.code}" for call in walk.cloud.calls()[-20:]]
            failures.append("\n".join([traceback.format_exc(), *map(str, walk.orders()), *last]))
            raise

    return run


class Walk(RuleBasedStateMachine):
    """One cloud, two people, and a steward that dies."""

    folder: Path
    migrated: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="freepool-walk-"))
        self.exits = contextlib.ExitStack()
        self.exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.runner = self.exits.enter_context(asyncio.Runner())
        self.cloud = self.exits.enter_context(cloud_in_thread(start=NOW))
        self.ledger: Ledger = open_ledger(f"sqlite:///{shutil.copy(self.migrated, self.folder / 'ledger.sqlite')}")
        self.exits.callback(self.ledger.close)
        self.world = self.do(self._world())
        self.links = {user: self.world.link(user, account=account) for user, account in PEOPLE.items()}
        self.accepted: list[Consent] = []
        self.offered: list[Consent] = []
        self.found: Counter[str] = Counter()
        self.unwatched: Counter[str] = Counter()
        self.bare: Counter[str] = Counter()
        self.watches = {account: Watch() for account in PEOPLE.values()}
        self.placed: list[Consent] = []
        self.backup: tuple[Path, dict[str, Binding]] | None = None
        self.seen_calls = self.seen_faults = 0
        self.do(self.world.tick())
        counts["walks"] += 1

    async def _world(self) -> World:
        return World(self.ledger, self.cloud, self.folder)

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

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
        with contextlib.suppress(FreepoolError):
            link = self.world.binding(self.links[order.user_name])
            consent = self.do(self.world.ask(link, cap="0.65", hours=2, order=order, idle_seconds=None))
            self.accepted.append(self.do(self.world.accept(consent)))
            self.place(consent)
            counts["started again"] += 1

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
        link = self.world.binding(self.links[who])
        watch = self.watches[PEOPLE[who]]
        if is_given:
            self.cloud.role(link.external_id, account=PEOPLE[who], name=f"Freepool-{who}")
            if watch.is_locked_out:
                watch.trouble(times=8)  # it has tried for long, and tries again seldom
            watch.is_locked_out = False
        else:
            watch.is_locked_out = True
            with contextlib.suppress(Exception):
                self.cloud.drop_role(link.role or "")
            counts["role taken away"] += 1

    @rule(who=st.sampled_from(list(PEOPLE)))
    def unlink_and_link_again(self, who: str) -> None:
        """As the desk does it, where nothing is in the way. What is stopped stays, and is taken over."""
        link = self.links[who]
        orders_there = self.ledger.read(orders.of_binding, link.id)
        asked = [one for one in self.ledger.read(consents.of_user, who) if one.state is ConsentState.ACCEPTED]
        if asked or in_the_way_of_unlinking(orders_there) or any(one.blocked for one in orders_there):
            return
        self.ledger.write(bindings.unlink, link.id, now=self.world.time)
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
        with (
            closing(sqlite3.connect(self.backup[0])) as old,
            closing(sqlite3.connect(self.folder / "ledger.sqlite")) as to,
        ):
            old.backup(to)
        self._nobody_for(self.world.rules.lease.total_seconds() + 1)
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
            self._nobody_for(self.world.rules.busy + 1)
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
        self._nobody_for(1)
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
        self._nobody_for(seconds)

    def _nobody_for(self, seconds: float) -> None:
        for watch in self.watches.values():
            watch.trouble()
        self._note(seconds)
        self.world.pass_time(seconds)

    @rule(ticks=st.integers(3, 12), step=st.sampled_from([1, 5, 20]))
    def goes_on(self, ticks: int, step: int) -> None:
        """Twice as often as the rest."""
        self.steward(ticks, step)

    @rule(ticks=st.integers(3, 12), step=st.sampled_from([5, 1, 20]))
    def steward(self, ticks: int, step: int) -> None:
        for _ in range(ticks):
            self.goes(step)
            counts["ticks"] += 1

    def goes(self, step: float) -> None:
        """A moment with the steward at work, after which what can be expected of it is so."""
        self._note(step)
        self.world.pass_time(step)
        self.do(self.world.tick())
        for call in self.cloud.calls(since=self.seen_faults):
            self.seen_faults = call.number
            for account, watch in self.watches.items():
                if call.fault and call.account in ("", account):
                    watch.trouble(times=1)
        for watch in self.watches.values():
            watch.passes(step)
        self.all_is_looked_after()

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
        self._nobody_for(self.world.rules.lease.total_seconds() + 1)
        counts["crashes"] += 1

    @rule()
    def all_is_well(self) -> None:
        """And so within a minute all is as it should be."""
        self._mend()
        for _ in range(5):
            self.goes(20)
        counts["well"] += 1

    @kept
    def all_is_looked_after(self) -> None:
        """Each instance in an account in which all is well is known, and what runs there has its timer."""
        known = {order.remote_id: order.state for order in self.orders()}
        for one in self.cloud.instances():
            if not self.watches[one["account"]].is_well or one["status"] == "Deleting":
                continue
            assert known.get(one["id"]) not in (None, *OVER), one
            assert self.bare[one["id"]] <= UNARMED, one
            counts["looked after"] += 1

    # -- what must hold

    @invariant()
    @kept
    def one_consent_makes_one_at_most(self) -> None:
        names = [one["name"] for one in self.cloud.instances(past=True)]
        allowed = {name_of(one.id) for one in self.accepted if one.kind is ConsentKind.CREATE}
        assert len(names) == len(set(names))
        assert set(names) <= allowed

    @invariant()
    @kept
    def nothing_is_changed_without_a_consent(self) -> None:
        allowed = {name_of(one.id) for one in self.accepted}
        ids = {one["id"]: one["name"] for one in self.cloud.instances(past=True)}
        for call in self.cloud.calls(since=self.seen_calls):
            self.seen_calls = call.number
            counts["calls"] += 1
            if call.mutates and call.action != "(late)":  # that was asked before, and is only done now
                name = str(call.params["InstanceName"]) if call.action == "CreateInstance" else ids.get(call.subject)
                assert name in allowed, call
                counts["mutations"] += 1
        starts = self.cloud.calls(action="StartInstance")
        assert len(starts) <= sum(one.kind is ConsentKind.START for one in self.accepted)

    @invariant()
    @kept
    def nobody_owes_more_than_agreed(self) -> None:
        owed: Counter[str] = Counter()
        for account in PEOPLE.values():
            for line in self.cloud.ask("bill", account=account)["lines"]:
                owed[line["instance"]] += Decimal(line["amount"])  # type: ignore[assignment]
        names = {one["id"]: one["name"] for one in self.cloud.instances(past=True)}
        for one, amount in owed.items():
            assert amount <= self.allowed(one, names[one]), one

    def allowed(self, one: str, name: str) -> Decimal:
        """The caps of an instance's runs, and what the cloud's granularity, the console, lost ledgers, and times in
        which nobody could end it add."""
        runs = {run.id: run for run in self.placed if name in (name_of(run.id), name_of(run.order_id or ""))}
        caps = sum((Decimal(run.cap) for run in runs.values()), Decimal(0))
        unwatched = Decimal(self.unwatched[one]) / 3600 * PRICE
        return caps + len(runs) * RUN_SLACK + self.found[one] * FOUND_SLACK + unwatched

    def _note(self, seconds: float) -> None:
        """What runs without a timer: while nobody can end it that is bad luck; else it must not be so for long."""
        for one in self.cloud.instances():
            ends = one["status"] in ("Stopped", "Failed", "Deleting", "Stopping")
            if ends or one["due"] is not None:
                self.bare.pop(one["id"], None)
            elif self.watches[one["account"]].is_well:
                self.bare[one["id"]] += seconds  # type: ignore[assignment]
            else:
                self.unwatched[one["id"]] += seconds  # type: ignore[assignment]

    def orders(self) -> list[Order]:
        return [order for user in PEOPLE for order in self.ledger.read(orders.of_user, user)]

    def _mend(self) -> None:
        self.cloud.clear_faults()
        for user in PEOPLE:
            self.role(user, True)

    def _work(self, seconds: float) -> None:
        """The steward at work, with the pauses of before behind it."""
        self._nobody_for(self.world.rules.longest_pause)
        self.do(self.world.run(seconds, step=10))

    def teardown(self) -> None:
        try:
            self._mend()
            for order in self.orders():
                self.world.delete(order)
            self._work(900)
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
