"""The invariants of the paid path: one cloud, two users, one steward. `test_state_machine` has the rules."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from spawner.ledger import Ledger, open_ledger
from spawner.ledger.paid import orders
from spawner.ledger.paid.rows import OVER, Binding, Consent, ConsentKind, Order
from spawner.paid.names import name_of
from tests.cloud.steer import ADA, LI, cloud_in_thread
from tests.paid.make import NOW
from tests.paid.world import PRICE, World

USERS = {"ann": ADA, "bob": LI}
RUN_SLACK = PRICE / 60 * 4
"""What one run may cost beyond its cap: a started minute, the stop, and the time until the ledger knows of it."""
RECOVERED_SLACK = PRICE / 60 * 38
"""What each recovery may cost: the half hour that a recovered instance may run, and the slack of a run."""
DISCOVERY_SECONDS = 105
"""Seconds in which discovery reads each account once, with two ticks or one step of the clock."""
WITHOUT_AUTO_STOP_SECONDS = 60 + 25
"""Seconds that an instance may run without auto-stop before it is stopped, and one tick."""

counts: Counter[str] = Counter()


class AccountHealth:
    """How long the steward has worked on an account undisturbed.

    Each failed call doubles the back-off. The invariants of an account hold after its back-off and one discovery.
    """

    def __init__(self) -> None:
        self.has_no_role = False
        self.undisturbed_seconds, self.failed_calls = 0.0, 0

    def disturb(self, times: int = 0) -> None:
        self.undisturbed_seconds = 0.0
        self.failed_calls += times

    def pass_time(self, seconds: float) -> None:
        self.undisturbed_seconds += seconds
        if self.is_settled:
            self.failed_calls = 0

    @property
    def is_settled(self) -> bool:
        pause = min(225.0, 1.5 * 2 ** (self.failed_calls + 1)) if self.failed_calls else 0.0
        return not self.has_no_role and self.undisturbed_seconds > DISCOVERY_SECONDS + pause


reports: list[str] = []
"""Reports of failed checks. Hypothesis cannot replay a failure, because threads and clocks take part in it."""


def with_report(check: Callable[[CheckedPlatform], None]) -> Callable[[CheckedPlatform], None]:
    """Report a failed check with the orders and the last calls to the cloud."""

    @functools.wraps(check)
    def run(platform: CheckedPlatform) -> None:
        try:
            check(platform)
        except AssertionError:
            last = [f"{call.at} {call.action} {call.fault} {call.code}" for call in platform.cloud.calls()[-20:]]
            reports.append("\n".join([traceback.format_exc(), *map(str, platform.orders()), *last]))
            raise

    return run


class CheckedPlatform(RuleBasedStateMachine):
    """The platform under test and its invariants."""

    folder: Path
    migrated: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="freepool-paid-"))
        self.exits = contextlib.ExitStack()
        self.exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.runner = self.exits.enter_context(asyncio.Runner())
        self.cloud = self.exits.enter_context(cloud_in_thread(start=NOW))
        self.ledger: Ledger = open_ledger(f"sqlite:///{shutil.copy(self.migrated, self.folder / 'ledger.sqlite')}")
        self.exits.callback(self.ledger.close)
        self.world = self.do(self._world())
        self.links = {user: self.world.link(user, account=account) for user, account in USERS.items()}
        self.accepted: list[Consent] = []
        self.offered: list[Consent] = []
        self.recoveries: Counter[str] = Counter()
        self.unattended_seconds: Counter[str] = Counter()
        self.unprotected_seconds: Counter[str] = Counter()
        self.health = {account: AccountHealth() for account in USERS.values()}
        self.placed: list[Consent] = []
        self.backup: tuple[Path, dict[str, Binding]] | None = None
        self.seen_calls = self.seen_faults = 0
        self.do(self.world.tick())
        counts["examples"] += 1

    async def _world(self) -> World:
        return World(self.ledger, self.cloud, self.folder)

    def do(self, task: Any) -> Any:
        return self.runner.run(task)

    # -- invariants

    @invariant()
    @with_report
    def one_consent_creates_at_most_one_instance(self) -> None:
        names = [instance["name"] for instance in self.cloud.instances(past=True)]
        allowed = {name_of(consent.id) for consent in self.accepted if consent.kind is ConsentKind.CREATE}
        assert len(names) == len(set(names))
        assert set(names) <= allowed

    @invariant()
    @with_report
    def no_change_without_a_consent(self) -> None:
        allowed = {name_of(consent.id) for consent in self.accepted}
        ids = {instance["id"]: instance["name"] for instance in self.cloud.instances(past=True)}
        for call in self.cloud.calls(since=self.seen_calls):
            self.seen_calls = call.number
            counts["calls"] += 1
            if call.mutates and call.action != "(late)":  # a create that takes effect late was checked when it was sent
                name = str(call.params["InstanceName"]) if call.action == "CreateInstance" else ids.get(call.subject)
                assert name in allowed, call
                counts["mutations"] += 1
        starts = self.cloud.calls(action="StartInstance")
        assert len(starts) <= sum(consent.kind is ConsentKind.START for consent in self.accepted)

    @invariant()
    @with_report
    def no_instance_costs_more_than_agreed(self) -> None:
        owed: Counter[str] = Counter()
        for account in USERS.values():
            for line in self.cloud.ask("bill", account=account)["lines"]:
                owed[line["instance"]] += Decimal(line["amount"])  # type: ignore[assignment]
        names = {instance["id"]: instance["name"] for instance in self.cloud.instances(past=True)}
        for remote_id, amount in owed.items():
            assert amount <= self.allowed(remote_id, names[remote_id]), remote_id

    def allowed(self, remote_id: str, name: str) -> Decimal:
        """What an instance may cost: the caps and slack of its runs, its recoveries, and the time without a steward."""
        runs = {run.id: run for run in self.placed if name in (name_of(run.id), name_of(run.order_id or ""))}
        caps = sum((Decimal(run.cap) for run in runs.values()), Decimal(0))
        unattended = Decimal(self.unattended_seconds[remote_id]) / 3600 * PRICE
        return caps + len(runs) * RUN_SLACK + self.recoveries[remote_id] * RECOVERED_SLACK + unattended

    def _count_unprotected(self, seconds: float) -> None:
        """Count the seconds that instances run without auto-stop, with and without a steward that could stop them."""
        for one in self.cloud.instances():
            ends = one["status"] in ("Stopped", "Failed", "Deleting", "Stopping")
            if ends or one["due"] is not None:
                self.unprotected_seconds.pop(one["id"], None)
            elif self.health[one["account"]].is_settled:
                self.unprotected_seconds[one["id"]] += seconds  # type: ignore[assignment]
            else:
                self.unattended_seconds[one["id"]] += seconds  # type: ignore[assignment]

    def orders(self) -> list[Order]:
        return [order for user in USERS for order in self.ledger.read(orders.of_user, user)]

    @with_report
    def every_instance_is_known_and_protected(self) -> None:
        """Each instance of a settled account is in the ledger, and has auto-stop while it runs."""
        known = {order.remote_id: order.state for order in self.orders()}
        for one in self.cloud.instances():
            if not self.health[one["account"]].is_settled or one["status"] == "Deleting":
                continue
            assert known.get(one["id"]) not in (None, *OVER), one
            assert self.unprotected_seconds[one["id"]] <= WITHOUT_AUTO_STOP_SECONDS, one
            counts["protected"] += 1

    def pass_time_unattended(self, seconds: float) -> None:
        for health in self.health.values():
            health.disturb()
        self._count_unprotected(seconds)
        self.world.pass_time(seconds)

    def tick_after(self, step: float) -> None:
        """Let time pass, run one round of the steward, and check the settled accounts."""
        self._count_unprotected(step)
        self.world.pass_time(step)
        self.do(self.world.tick())
        for call in self.cloud.calls(since=self.seen_faults):
            self.seen_faults = call.number
            for account, health in self.health.items():
                if call.fault and call.account in ("", account):
                    health.disturb(times=1)
        for health in self.health.values():
            health.pass_time(step)
        self.every_instance_is_known_and_protected()

    def set_role(self, who: str, exists: bool) -> None:
        link = self.world.binding(self.links[who])
        health = self.health[USERS[who]]
        if exists:
            self.cloud.role(link.external_id, account=USERS[who], name=f"Freepool-{who}")
            if health.has_no_role:
                health.disturb(times=8)  # its back-off is at the maximum
            health.has_no_role = False
        else:
            health.has_no_role = True
            with contextlib.suppress(Exception):
                self.cloud.drop_role(link.role or "")
            counts["roles removed"] += 1

    def restore_cloud(self) -> None:
        self.cloud.clear_faults()
        for user in USERS:
            self.set_role(user, True)

    def run_steward(self, seconds: float) -> None:
        """Run the steward, after all back-offs are over."""
        self.pass_time_unattended(self.world.rules.longest_pause)
        self.do(self.world.run(seconds, step=10))
