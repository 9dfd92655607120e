"""What the walk is watched by: one cloud, two people, a steward, and what must hold whatever happens.

See `test_walk`, which has what may happen.
"""

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

PEOPLE = {"ann": ADA, "bob": LI}
RUN_SLACK = PRICE / 60 * 4
"""Of one run: a begun minute, the time that a stop takes, and what the cloud counts before we know."""
FOUND_SLACK = PRICE / 60 * 38
"""Of what is found and was not ordered, each time: its half hour, and what a run may have beyond."""
SWEEP = 105
"""Seconds in which each account is looked through once, with two steps of the walk, or one of the clock."""
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


def kept(check: Callable[[Watched], None]) -> Callable[[Watched], None]:
    """Remember how a check failed, and after what."""

    @functools.wraps(check)
    def run(walk: Watched) -> None:
        try:
            check(walk)
        except AssertionError:
            last = [f"{call.at} {call.action} {call.fault} {call.code}" for call in walk.cloud.calls()[-20:]]
            failures.append("\n".join([traceback.format_exc(), *map(str, walk.orders()), *last]))
            raise

    return run


class Watched(RuleBasedStateMachine):
    """What there is, and what is expected of it."""

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
        return [order for user in PEOPLE for order in self.ledger.read(orders.of_person, user)]

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

    def nobody_for(self, seconds: float) -> None:
        for watch in self.watches.values():
            watch.trouble()
        self._note(seconds)
        self.world.pass_time(seconds)

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

    def give_role(self, who: str, is_given: bool) -> None:
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

    def mend(self) -> None:
        self.cloud.clear_faults()
        for user in PEOPLE:
            self.give_role(user, True)

    def work(self, seconds: float) -> None:
        """The steward at work, with the pauses of before behind it."""
        self.nobody_for(self.world.rules.longest_pause)
        self.do(self.world.run(seconds, step=10))
