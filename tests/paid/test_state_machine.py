"""Requests, crashes, failures, clock steps, removed roles and actions in the cloud's console, in any order.

The real SDK runs against the stand-in cloud. The invariants:

* each consent creates at most one instance, under the consent's name;
* every change in the cloud has a consent;
* no instance costs more than `PaidPlatform.allowed`;
* in an undisturbed account every instance is in the ledger after one discovery, and has auto-stop or is being stopped:
  see `AccountHealth`;
* once all orders are deleted and the cloud works, no instance is left.
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
from tests.paid.state_machine import USERS, CheckedPlatform, counts, reports, with_report

EXAMPLES = int(os.environ.get("FREEPOOL_WALKS") or 6)
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


class PaidPlatform(CheckedPlatform):
    """One cloud, two users, and a steward that is killed and replaced."""

    # -- requests

    @initialize(ticks=st.integers(0, 6))
    def both_users_order(self, ticks: int) -> None:
        """Each example begins with two orders in some state."""
        for who in USERS:
            self.order(who, "1.30", 3)
        if ticks:
            self.steward(ticks, 20)

    @rule(who=st.sampled_from(list(USERS)), cap=st.sampled_from(["0.65", "0.20"]))
    def order_one_more(self, who: str, cap: str) -> None:
        """A second rule for `order`, which makes it twice as frequent."""
        self.order(who, cap, 3)

    @rule(
        who=st.sampled_from(list(USERS)),
        cap=st.sampled_from(["0.20", "0.65", "1.30"]),
        stage=st.sampled_from([3, 3, 3, 3, 2, 1]),
    )
    def order(self, who: str, cap: str, stage: int) -> None:
        """Ask for an offer, accept it and order, up to `stage`."""
        with contextlib.suppress(FreepoolError):
            consent = self.do(self.world.ask(self.world.binding(self.links[who]), cap=cap, hours=2, idle_seconds=None))
            self.offered.append(consent)
            if stage > 1:
                self.accepted.append(self.do(self.world.accept(consent)))
            if stage > 2:
                self.place(consent)

    def place(self, consent: Consent) -> None:
        self.world.place(consent)
        self.placed.append(consent)
        counts["ordered"] += 1

    @rule(which=ANY, how=st.sampled_from(["accept", "place"]))
    def repeat_request(self, which: int, how: str) -> None:
        """Send an earlier accept or order again, as an old page or a second tab does."""
        if not self.offered:
            return
        consent = self.offered[which % len(self.offered)]
        with contextlib.suppress(FreepoolError):
            if how == "accept":
                self.accepted.append(self.do(self.world.accept(consent)))
            else:
                self.place(consent)

    @rule(which=ANY)
    def restart_stopped(self, which: int) -> None:
        stopped = [order for order in self.orders() if order.state is OrderState.STOPPED]
        if not stopped:
            return
        order = stopped[which % len(stopped)]
        link = self.world.binding(self.links[order.user_name])
        refusal = ""
        try:
            consent = self.do(self.world.ask(link, cap="0.65", hours=2, order=order, idle_seconds=None))
            self.accepted.append(self.do(self.world.accept(consent)))
            self.place(consent)
            counts["started again"] += 1
        except FreepoolError as error:
            refusal = error.message
        assert order.is_unwanted or refusal != "The notebook is not stopped."

    @rule(which=ANY, how=st.sampled_from(["stop", "delete"]))
    def stop_or_delete(self, which: int, how: str) -> None:
        found = self.orders()
        if found:
            getattr(self.world, how)(found[which % len(found)])
            counts[how] += 1

    @rule(which=ANY, act=st.sampled_from(["stop", "delete", "start"]))
    def act_in_console(self, which: int, act: str) -> None:
        found = sorted(self.cloud.instances(), key=lambda one: one["name"])
        if not found:
            return
        one = found[which % len(found)]
        if act == "start":
            if one["status"] == "Stopped":
                self.cloud.console(one["id"], "status", status="Creating", held=False)
                self.recoveries[one["id"]] += 1
                self.health[one["account"]].disturb()
        else:
            self.cloud.console(one["id"], act)
        counts[f"console {act}"] += 1

    @rule(who=st.sampled_from(list(USERS)), exists=st.booleans())
    def role(self, who: str, exists: bool) -> None:
        self.set_role(who, exists)

    @rule(who=st.sampled_from(list(USERS)))
    def unlink_and_link_again(self, who: str) -> None:
        """Unlink where nothing prevents it. The next binding takes over stopped instances."""
        link = self.links[who]
        orders_there = self.ledger.read(orders.of_binding, link.id)
        asked = [
            consent for consent in self.ledger.read(consents.of_person, who) if consent.state is ConsentState.ACCEPTED
        ]
        in_the_way = in_the_way_of_unlinking(orders_there, self.world.time, reaches=self.world.paid.reaches)
        if asked or in_the_way or any(order.blocked for order in orders_there):
            return
        assert self.world.unlink(link, by=who)
        self.links[who] = self.world.link(who, account=USERS[who])
        self.health[USERS[who]].disturb()
        self.health[USERS[who]].has_no_role = False
        counts["linked again"] += 1

    # -- failures and time

    @rule(is_made=st.booleans())
    def back_up_or_restore(self, is_made: bool) -> None:
        """Back up the ledger, or replace it with the last backup while the steward is stopped."""
        if is_made or self.backup is None or self.backup[1] != self.links:
            self.backup = self.world.backup(), dict(self.links)
            return
        self.do(self.world.reconciler.rest())
        now = self.folder / "ledger.sqlite"
        with closing(sqlite3.connect(self.backup[0])) as old, closing(sqlite3.connect(now)) as ledger:
            old.backup(ledger)
        self.pass_time_unattended(self.world.rules.lease.total_seconds() + 1)
        self.world.reconciler = self.world.new_reconciler()
        self.do(self.world.tick())
        for one in self.cloud.instances():
            self.recoveries[one["id"]] += 1
        counts["restored"] += 1

    @rule(after=st.integers(0, 60))
    def overlap_stewards(self, after: int) -> None:
        """A steward loses its lease during a round, and finishes the round beside its successor."""

        async def overlap() -> None:
            old, self.world.reconciler = self.world.reconciler, self.world.new_reconciler()
            working = asyncio.create_task(old.tick())
            await asyncio.sleep(after / 1000)
            self.pass_time_unattended(self.world.rules.busy + 1)
            await asyncio.gather(working, self.world.reconciler.tick())
            assert not await old.tick()
            await old.rest()

        self.do(overlap())
        counts["other stewards"] += 1

    @rule(seconds=st.sampled_from([-20, 45, 500]))
    def step_our_clock(self, seconds: int) -> None:
        """Set our clock; the cloud's stays."""
        self.world.time += timedelta(seconds=seconds)
        for health in self.health.values():
            health.disturb()
        counts["clock steps"] += 1

    @rule()
    def hang_a_list(self) -> None:
        """A list hangs, and the round does not wait for it."""
        self.cloud.fault("ListInstances", "hang_before", seconds=1.1)
        self.pass_time_unattended(1)
        self.do(self.world.reconciler.tick(patience=0.05))
        counts["hanging"] += 1

    @rule(fault=ONE_FAULT, times=st.integers(1, 4))
    def fault(self, fault: tuple[str, str], times: int) -> None:
        action, kind = fault
        self.cloud.fault(
            action, kind, times=times, seconds=90 if kind == "late" else 5, status=500, code="InternalError"
        )
        counts["faults"] += times

    @rule(seconds=st.sampled_from([10, 60, 300, 4000, 12000]))
    def wait_unattended(self, seconds: int) -> None:
        self.pass_time_unattended(seconds)

    @rule(ticks=st.integers(3, 12), step=st.sampled_from([1, 5, 20]))
    def run_more_steward(self, ticks: int, step: int) -> None:
        """A second rule for `steward`, which makes it twice as frequent."""
        self.steward(ticks, step)

    @rule(ticks=st.integers(3, 12), step=st.sampled_from([5, 1, 20]))
    def steward(self, ticks: int, step: int) -> None:
        for _ in range(ticks):
            self.tick_after(step)
            counts["ticks"] += 1

    @rule(after=st.integers(0, 60))
    def crash(self, after: int) -> None:
        """Kill the steward some milliseconds into a round, before or after it has sent its calls."""

        async def die() -> None:
            working = asyncio.create_task(self.world.reconciler.tick())
            await asyncio.sleep(after / 1000)
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
            await self.world.crash(lease=False)

        self.do(die())
        self.pass_time_unattended(self.world.rules.lease.total_seconds() + 1)
        counts["crashes"] += 1

    @rule(luck=st.integers(0, 3))
    def recover_everything(self, luck: int) -> None:
        """Sometimes end all faults, so that the checks of settled accounts apply."""
        if luck:
            return self.restart_stopped(luck)
        self.restore_cloud()
        for _ in range(5):
            self.tick_after(20)
        counts["recoveries"] += 1

    def teardown(self) -> None:
        try:
            self.restore_cloud()
            self.run_steward(60)  # an instance that a restored ledger does not know is an order after one discovery
            for order in self.orders():
                self.world.delete(order)
            self.run_steward(900)
            self.no_change_without_a_consent()
            self.no_instance_costs_more_than_agreed()
            self.everything_is_gone()
        finally:
            self.do(self.world.close())
            self.exits.close()

    @with_report
    def everything_is_gone(self) -> None:
        """Checked after all orders were deleted and the cloud works."""
        assert self.cloud.instances() == []
        assert {order.state for order in self.orders()} <= {*OVER, OrderState.UNKNOWN}
        for link in self.links.values():
            assert self.world.binding(link).state is BindingState.ACTIVE
        counts.update(f"{order.state}: {order.reason}" for order in self.orders())
        counts["instances"] += len(self.cloud.instances(past=True))


@pytest.mark.timeout(120 + 60 * EXAMPLES)
def test_in_any_order_of_events_users_pay_only_for_what_they_accepted(
    migrated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    PaidPlatform.migrated = migrated
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    reports.clear()
    try:
        run_state_machine_as_test(PaidPlatform, settings=chosen)
    except Exception:
        if reports:
            pytest.fail(reports[0])
        raise
    with capsys.disabled():
        print("\n" + ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))
    assert counts["mutations"] > 2 * EXAMPLES  # on a busy machine some calls end before they change something
    assert counts["instances"] > EXAMPLES
    if EXAMPLES >= 40:  # few examples may have no crash
        assert counts["crashes"] > EXAMPLES / 2
