"""Judges one look at an instance: how it is used, and when it is stopped if that goes on. Pure.

Unknown is not idle. A look that could not be taken, or comes after a gap, adds nothing to the time without use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from spawner.ledger.time.rows import Activity
from spawner.pool.backends.base import SlotUse
from spawner.pool.time.idle.report import Report
from spawner.pool.time.idle.rules import Limits, Rules
from spawner.pool.time.idle.state import Bucket, Counters, Known, State, add


class Why(StrEnum):
    """What decided the activity."""

    NEW = "new"
    UNKNOWN = "unknown"
    GPU = "gpu"
    PROCESSOR = "processor"
    NETWORK = "network"
    KERNEL = "kernel"
    """A busy kernel that uses something."""
    TERMINAL = "terminal"
    """A program in a terminal that uses something."""
    INPUT = "input"
    BUSY_KERNEL = "busy_kernel"
    """A busy kernel that uses nothing."""
    NOTHING = "nothing"


@dataclass(frozen=True)
class Look:
    """What one look found. `use` is None where the backend could not tell, `report` where nobody asked or answered.

    `elapsed`: seconds since the last look by a clock that nobody sets; None in the first look of a steward.
    """

    at: datetime
    use: SlotUse | None = None
    report: Report | None = None
    elapsed: float | None = None


@dataclass(frozen=True)
class Rates:
    """Processors, bytes a second and the share of the GPU, over the time since the last look; None: unknown."""

    processors: float | None = None
    network: float | None = None
    gpu: float | None = None


@dataclass(frozen=True)
class Judgement:
    """`remaining`: seconds without use that are left, where the activity is IDLE or WAITING and there is a limit.

    `is_known` is False where this look showed nothing: then nothing may follow from it.
    """

    state: State
    why: Why
    rates: Rates
    is_known: bool
    remaining: float | None
    offers_cpu: bool = False

    @property
    def stops_at(self) -> datetime | None:
        """When it is stopped if nothing changes."""
        if self.remaining is None:
            return None
        return self.state.at + timedelta(seconds=max(0.0, self.remaining))


def judge(before: State | None, look: Look, limits: Limits, rules: Rules) -> Judgement:
    """Judge a look, given what was kept of those before."""
    if before is None:
        return _first(look)
    gap = (look.at - before.at).total_seconds()
    seen = 0.0 if look.elapsed is None else min(gap, look.elapsed)  # another steward may have looked meanwhile
    passed = seen if 0 < seen <= rules.longest_gap else 0.0
    # After a gap the rate over all of it may be too low, where a clock was set, and never too high.
    now = _counted(look)
    rates = _rates(before.counters, now, look.use, max(0.0, gap))
    known, input_age = _heard(before, look, passed, rules)
    state = replace(
        before,
        at=look.at,
        counters=_counters(before.counters, now, passed),
        known=known,
        input_age=input_age,
        prompted=None if before.prompted is None else before.prompted + passed,
        asked=None if before.asked is None else before.asked + passed,
    )
    heard = known if known is not None and known.age <= rules.stale else None
    found = _activity(rates, heard, input_age, rules) if gap > 0 else None
    if found is None or (not passed and found[0] is not Activity.WORKING):
        return Judgement(state, Why.UNKNOWN, rates, is_known=False, remaining=None)
    activity, why = found
    state = _sum_up(state, before, activity, rates, passed, rules)
    return Judgement(
        state,
        why,
        rates,
        is_known=True,
        remaining=_remaining(state, heard, limits, rules),
        offers_cpu=limits.has_gpu and _works_without_gpu(state.buckets, rules),
    )


def should_ask(unasked: Judgement, rules: Rules) -> bool:
    """Whether the instance's own report can change what was judged without it. Few are asked in one round."""
    state, known = unasked.state, unasked.state.known
    if unasked.why in (Why.GPU, Why.PROCESSOR, Why.NETWORK):
        return False
    if state.prompted is not None:
        return True
    if known is None or known.age > rules.stale:  # it is silent, or was not asked for long
        return state.asked is None or state.asked >= rules.ask_every
    is_in_use = known.busy_seconds is not None or known.terminals > 0
    is_close = unasked.remaining is not None and unasked.remaining <= rules.prompt + rules.longest_gap
    is_unseen = unasked.rates.processors is None
    return is_in_use or is_close or is_unseen or known.age >= rules.ask_every


def _first(look: Look) -> Judgement:
    """A start is use: somebody has just asked for it."""
    report = look.report
    known = None if report is None else _known(report)
    state = State(look.at, Activity.PRESENT, _counted(look), known, asked=None if report is None else 0.0)
    return Judgement(state, Why.NEW, Rates(), is_known=False, remaining=None)


def _counted(look: Look) -> Counters:
    """What is counted now: as seen from outside, else as the instance reports it."""
    use, report = look.use or SlotUse(), look.report
    now = Counters(use.seconds, use.network, use.stamp)
    if report is None:
        return now
    if use.seconds is None and use.processors is None and report.processor_seconds is not None:
        now = replace(now, processor_seconds=report.processor_seconds, processor_inside=True)
    if use.network is None and report.network is not None:
        now = replace(now, network=report.network, network_inside=True)
    return now


def _counters(before: Counters, now: Counters, passed: float) -> Counters:
    """The last values. After a gap (`passed` is 0) those before it are forgotten."""
    if not passed:
        return replace(now, stamp=now.stamp or before.stamp)
    if now.processor_seconds is None:
        now = replace(
            now,
            processor_seconds=before.processor_seconds,
            processor_age=before.processor_age + passed,
            processor_inside=before.processor_inside,
        )
    if now.network is None:
        now = replace(
            now,
            network=before.network,
            network_age=before.network_age + passed,
            network_inside=before.network_inside,
        )
    return replace(now, stamp=now.stamp or before.stamp)


def _rates(before: Counters, now: Counters, use: SlotUse | None, span: float) -> Rates:
    use = use or SlotUse()
    processors, network = use.processors, None
    if use.stamp and use.stamp == before.stamp:
        processors = None  # the same measurement again, which says nothing about the time since
    if processors is None and now.processor_inside is before.processor_inside:
        processors = _rate(now.processor_seconds, before.processor_seconds, before.processor_age, span)
    if now.network_inside is before.network_inside:
        network = _rate(now.network, before.network, before.network_age, span)
    return Rates(processors, network, use.gpu)


def _rate(now: float | None, before: float | None, age: float, span: float) -> float | None:
    """Per second since the value before was read. A counter that went back belongs to something else: unknown."""
    if now is None or before is None or span <= 0 or now < before:
        return None
    return (now - before) / (age + span)


def _known(report: Report) -> Known:
    return Known(0.0, report.busy_seconds, report.terminals, report.tabs, report.input_at)


def _heard(before: State, look: Look, passed: float, rules: Rules) -> tuple[Known | None, float]:
    """The last report, and the seconds since real input.

    Clocks may differ, so it counts that the input's time is another one than before, not which. Of the value only the
    difference to the instance's own clock is used, and only within the time since the last report.
    """
    report, known = look.report, before.known
    age = before.input_age + passed
    if report is None:
        return None if known is None else replace(known, age=known.age + passed), age
    if report.input_at is not None and (known is None or report.input_at != known.input_at):
        since = report.now - report.input_at
        longest = rules.longest_gap if known is None else known.age + passed
        age = min(age, since if 0 <= since <= longest else 0.0)
    return _known(report), age


def _activity(rates: Rates, heard: Known | None, input_age: float, rules: Rules) -> tuple[Activity, Why] | None:
    """None where nothing is known."""
    processors, network = rates.processors, rates.network
    if rates.gpu:
        return Activity.WORKING, Why.GPU
    if processors is not None and processors >= rules.baseline + rules.working:
        return Activity.WORKING, Why.PROCESSOR
    if network is not None and network >= rules.network:
        return Activity.WORKING, Why.NETWORK
    is_busy = heard is not None and heard.busy_seconds is not None
    has_program = heard is not None and heard.terminals > 0
    if is_busy or has_program:
        is_light = (
            processors is None  # what it uses is unknown, and it may be all
            or processors >= rules.baseline + rules.light
            or (network is not None and network >= rules.light_network)
        )
        if is_light:
            return Activity.WORKING, Why.KERNEL if is_busy else Why.TERMINAL
    if processors is None and (heard is None or heard.age > 0):
        return None  # an earlier report does not say what is used now
    has_tab = heard is not None and heard.tabs != 0
    if input_age < rules.present and has_tab:
        return Activity.PRESENT, Why.INPUT
    if heard is not None and heard.busy_seconds is not None and heard.busy_seconds >= rules.busy_least:
        return Activity.WAITING, Why.BUSY_KERNEL
    return Activity.IDLE, Why.NOTHING


def _sum_up(state: State, before: State, activity: Activity, rates: Rates, passed: float, rules: Rules) -> State:
    is_same = activity is before.activity
    quiet = 0.0 if activity is Activity.WORKING else min(before.quiet + passed, state.input_age)
    idle = 0.0 if activity in (Activity.WORKING, Activity.WAITING) else min(before.idle + passed, quiet)
    bucket = Bucket(
        seconds=passed,
        processor=(rates.processors or 0.0) * passed,
        network=(rates.network or 0.0) * passed,
        gpu=passed if rates.gpu else 0.0,
        gpu_known=0.0 if rates.gpu is None else passed,
        working=passed if activity is Activity.WORKING else 0.0,
    )
    return replace(
        state,
        activity=activity,
        activity_seconds=before.activity_seconds + passed if is_same else 0.0,
        idle=idle,
        quiet=quiet,
        buckets=add(before.buckets, bucket, length=rules.bucket),
    )


def _remaining(state: State, heard: Known | None, limits: Limits, rules: Rules) -> float | None:
    if state.activity not in (Activity.IDLE, Activity.WAITING):
        return None
    limit = limits.without_tab if heard is not None and heard.tabs == 0 else limits.with_tab
    if limit is None:
        return None
    slower = rules.silent if heard is None else 1
    return min(limit * slower - state.idle, max(rules.waiting, limit) * slower - state.quiet)


def _works_without_gpu(buckets: tuple[Bucket, ...], rules: Rules) -> bool:
    """Whether for 45 minutes the GPU was seen and did nothing, while the processor worked."""
    last = buckets[-rules.cpu_only :]
    computes = rules.baseline + rules.working
    return len(last) == rules.cpu_only and all(
        one.seconds >= rules.bucket
        and one.gpu == 0
        and one.gpu_known >= one.seconds * 0.9
        and one.processor >= one.seconds * computes
        for one in last
    )
