"""Everything in any order: clicks, crashes, bad luck, time, roles that go and come, people at the cloud's console.

Through the real SDK against the stand-in. What must hold, whatever happens:

* the cloud holds no more instances than there were consents, and each was asked for by its consent's own name;
* nothing is changed in the cloud that no consent stands behind;
* no instance costs more than its caps, but for what `Walk.allowed` names;
* once all is well again, every instance is known to the ledger within one sweep;
* once everybody wants everything gone, and all is well, nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from spawner.errors import FreepoolError
from spawner.ledger import Ledger, open_ledger, orders
from spawner.ledger.paid_model import OVER, BindingState, Consent, ConsentKind, Order, OrderState
from spawner.paid.asking import name_of
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
FOUND_SLACK = PRICE * 2
"""Of one that somebody started at the console: until we see it, and its half hour."""

CALM = 150, 6
"""Seconds and rounds of the steward's work after which nothing that went wrong before is an excuse."""

counts: Counter[str] = Counter()


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
        self.unwatched: dict[str, float] = {}
        self.locked_out: set[str] = set()
        self.calm = (0.0, 0)
        self.seen_calls = 0
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
                self.world.place(consent)
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
                self.world.place(consent)
                counts["ordered"] += 1

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
            self.world.place(consent)
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
                self.calm = (0.0, 0)
        else:
            self.cloud.console(one["id"], act)
        counts[f"console {act}"] += 1

    @rule(who=st.sampled_from(list(PEOPLE)), is_given=st.booleans())
    def role(self, who: str, is_given: bool) -> None:
        link = self.world.binding(self.links[who])
        self.calm = (0.0, 0)
        if is_given:
            self.cloud.role(link.external_id, account=PEOPLE[who], name=f"Freepool-{who}")
            self.locked_out.discard(PEOPLE[who])
        else:
            self.locked_out.add(PEOPLE[who])
            with contextlib.suppress(Exception):
                self.cloud.drop_role(link.role or "")
            counts["role taken away"] += 1

    # -- what happens

    @rule(fault=ONE_FAULT, times=st.integers(1, 4))
    def fault(self, fault: tuple[str, str], times: int) -> None:
        action, kind = fault
        self.cloud.fault(
            action, kind, times=times, seconds=90 if kind == "late" else 5, status=500, code="InternalError"
        )
        self.calm = (0.0, 0)
        counts["faults"] += times

    @rule(seconds=st.sampled_from([10, 60, 300, 4000, 12000]))
    def nobody_works(self, seconds: int) -> None:
        self._note_unwatched(seconds)
        self.world.pass_time(seconds)

    @rule(ticks=st.integers(3, 12), step=st.sampled_from([1, 5, 20]))
    def goes_on(self, ticks: int, step: int) -> None:
        """Twice as often as the rest."""
        self.steward(ticks, step)

    @rule(ticks=st.integers(3, 12), step=st.sampled_from([5, 1, 20]))
    def steward(self, ticks: int, step: int) -> None:
        for _ in range(ticks):
            self._note_unwatched(step)
            self.calm = self.calm[0] + step, self.calm[1] + 1
            self.world.pass_time(step)
            self.do(self.world.tick())
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

        self.calm = (0.0, 0)
        self._note_unwatched(self.world.rules.lease.total_seconds() + 1)
        self.do(die())
        self.world.pass_time(self.world.rules.lease.total_seconds() + 1)
        counts["crashes"] += 1

    @rule(luck=st.integers(0, 9))
    def all_is_well_for_a_while(self, luck: int) -> None:
        """Seldom. Then all that is in the cloud is in the ledger, and looked after."""
        if luck < 9:
            self.steward(3, 5)
            return
        self._mend()
        self._work(240)
        self.all_is_known()
        counts["well"] += 1

    @kept
    def all_is_known(self) -> None:
        """Every instance is in the ledger, and is looked after."""
        known = {order.remote_id for order in self.orders() if order.state not in OVER}
        assert {one["id"] for one in self.cloud.instances() if one["status"] != "Deleting"} <= known

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
        """An instance's caps, and what the cloud's granularity, the console and times without any guard add."""
        runs = [run for run in self.accepted if name in (name_of(run.id), name_of(run.order_id or ""))]
        caps = sum((Decimal(run.cap) for run in runs), Decimal(0))
        unwatched = Decimal(self.unwatched.get(one, 0)) / 3600 * PRICE
        return caps + len(runs) * RUN_SLACK + self.found[one] * FOUND_SLACK + unwatched

    def _note_unwatched(self, seconds: float) -> None:
        """What runs while nobody can stop it: no timer is armed yet, and the steward is dead or locked out, or was so
        until just now."""
        for one in self.cloud.instances():
            is_stopping = one["status"] in ("Stopped", "Failed", "Deleting", "Stopping")
            is_excused = self.calm[0] < CALM[0] or self.calm[1] < CALM[1] or one["account"] in self.locked_out
            if one["due"] is None and not is_stopping and is_excused:
                self.unwatched[one["id"]] = self.unwatched.get(one["id"], 0) + seconds

    def orders(self) -> list[Order]:
        return [order for user in PEOPLE for order in self.ledger.read(orders.of_user, user)]

    def _mend(self) -> None:
        self.cloud.clear_faults()
        self.locked_out.clear()
        for user, link in self.links.items():
            self.cloud.role(link.external_id, account=PEOPLE[user], name=f"Freepool-{user}")

    def _work(self, seconds: float) -> None:
        """The steward at work, with the pauses of before behind it."""
        self._note_unwatched(self.world.rules.longest_pause)
        self.world.pass_time(self.world.rules.longest_pause)
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
