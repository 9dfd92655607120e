"""What the guard finds in samples of an instance's use. Pure: samples and settings in, findings out.

Nothing here is a verdict. Training with a closed lid uses the processor for hours with nobody there, and is fine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from spawner.guard_settings import GuardSettings
from spawner.ledger.pool.rows import GuardKind, GuardNote
from spawner.pool.backends.base import SlotUse
from spawner.steward.guard_known import known_programs

LARGEST_GAP = 3
"""Looks that may be missing between two samples before what came earlier counts no more."""


@dataclass(frozen=True)
class Sample:
    """One look at an instance: `share` is the part of its processors used since the look before, 0 to about 1."""

    at: datetime
    share: float | None
    names: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What was seen, and since when."""

    kind: GuardKind
    since: datetime
    evidence: dict[str, Any] = field(default_factory=dict)


def sample(use: SlotUse, at: datetime, *, cpu: float, before: tuple[datetime, SlotUse] | None) -> Sample:
    """A sample from two looks at the counters of a slot with `cpu` processors, or from one where it tells the rate."""
    share = None
    if use.processors is not None:
        share = use.processors / cpu
    elif use.seconds is not None and before is not None and before[1].seconds is not None:
        passed = (at - before[0]).total_seconds()
        # Programs that have ended may take their counters away with them.
        share = max(0.0, use.seconds - before[1].seconds) / (passed * cpu) if passed > 0 else None
    return Sample(at, share, use.names, use.places)


def keep(samples: Sequence[Sample], new: Sample, rules: GuardSettings) -> list[Sample]:
    """The samples that later looks need, with a new one. A long gap begins anew: what happened in it is unknown."""
    gap = timedelta(minutes=rules.every_minutes * LARGEST_GAP)
    if samples and new.at - samples[-1].at > gap:
        return [new]
    begins = new.at - timedelta(minutes=rules.busy_minutes) - gap
    return [*(one for one in samples if one.at >= begins), new]


def busy(samples: Sequence[Sample], rules: GuardSettings) -> Finding | None:
    """Whether the instance used its processors for the whole time that the settings name."""
    if not samples:
        return None
    last = samples[-1].at
    begins = last - timedelta(minutes=rules.busy_minutes)
    if samples[0].at > begins:
        return None
    shares = [one.share for one in samples if one.at > begins and one.share is not None]
    if not shares:
        return None
    percent = round(100 * sum(shares) / len(shares))
    if percent < rules.busy_percent:
        return None
    return Finding(
        GuardKind.BUSY,
        begins,
        {"percent": percent, "minutes": round(rules.busy_minutes), "away": rules.away_minutes > 0},
    )


def is_away(last_activity: datetime | None, now: datetime, rules: GuardSettings) -> bool:
    """Whether nobody used it for so long. Unknown is no."""
    if rules.away_minutes == 0:
        return True
    return last_activity is not None and now - last_activity >= timedelta(minutes=rules.away_minutes)


def seen_inside(samples: Sequence[Sample], rules: GuardSettings) -> list[Finding]:
    """Names of programs that run now, and places that were reached since the instance began."""
    if not samples:
        return []
    now, found = samples[-1], []
    names = known_programs(now.names, rules.names)
    if names:
        since = next(one.at for one in samples if known_programs(one.names, rules.names))
        found.append(Finding(GuardKind.PROCESS, since, {"names": names}))
    if now.places:
        since = next(one.at for one in samples if one.places)
        found.append(Finding(GuardKind.PLACE, since, {"places": list(now.places)}))
    return found


@dataclass(frozen=True)
class Steps:
    """What follows from notes: ids of the notes whose instance gets slower, is given back its speed, or ends."""

    slower: tuple[GuardNote, ...] = ()
    faster: tuple[GuardNote, ...] = ()
    stop: tuple[GuardNote, ...] = ()


def steps(notes: Sequence[GuardNote], now: datetime, rules: GuardSettings) -> Steps:
    """The steps that the settings ask for. Only what was found in this look (`seen_at`) and not dismissed leads on."""

    def is_due(note: GuardNote, minutes: float | None) -> bool:
        holds = note.dismissed_at is None and note.seen_at == now
        return holds and minutes is not None and now - note.noted_at >= timedelta(minutes=minutes)

    stopping = tuple(one for one in notes if one.stopped_at is None and is_due(one, rules.stop_after_minutes))
    ending = {one.instance_id for one in stopping}
    held = {one.instance_id for one in notes if one.slowed_at and one.dismissed_at is None}
    slowing: dict[str, GuardNote] = {}
    for one in notes:
        if one.instance_id not in ending | held and is_due(one, rules.slower_after_minutes):
            slowing.setdefault(one.instance_id, one)
    return Steps(
        slower=tuple(slowing.values()),
        faster=tuple(one for one in notes if one.slowed_at and one.dismissed_at and one.instance_id not in held),
        stop=stopping,
    )
