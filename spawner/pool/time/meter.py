"""The meter: what a run used, from its rows alone. Pure.

No program counts while a run lasts, so nothing is lost or counted twice where one is killed. What a run used is

    weight x (end - usable_at)

and the end is the earliest of: the stop that somebody asked for, the end that the keeper or the kubelet recorded, the
last sign of life where nothing better is known, and the time that was set aside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from spawner.ledger import EndReason, Instance
from spawner.ledger.time.rows import Charge, EndSource, Hold

REFUNDED = frozenset(
    {
        EndReason.LOST,
        EndReason.EVICTED,
        EndReason.MAINTENANCE,
        EndReason.SHUTDOWN,
        EndReason.SUPERSEDED,
        EndReason.NOT_COLLECTED,
    }
)
"""Ends by the platform: the whole run is given back, because what it made is lost. Not a deadline, the guard or a ban,
and no end that a person's own program can bring about."""
NOTICED = frozenset(
    {EndReason.CRASHED, EndReason.OUT_OF_MEMORY, EndReason.OUT_OF_DISK, EndReason.LOST, EndReason.EVICTED}
)
"""Ends that nobody asked for: `stopping_at` is when they were noticed, which may be long after."""


def charge(instance: Instance, hold: Hold, *, seen_at: datetime | None, now: datetime) -> Charge | None:
    """What an instance that is stopping or has ended used; None where it never became usable.

    `seen_at`: the last sign of life from outside. `now` is when it is written, and the end where the rows have none.
    """
    began = instance.usable_at
    if began is None:
        return None
    found = min(_ends(instance, hold, began, seen_at, now), key=lambda end: end[0])
    until, source = max(found[0], began), found[1]  # a clock may have been set back, or a node's is wrong
    seconds = _weighted(hold, until - began)
    is_refunded = instance.reason in REFUNDED
    return Charge(
        instance_id=instance.id,
        person_id=instance.person_id,
        class_id=hold.class_id,
        weight=hold.weight,
        began_at=began,
        until=until,
        end_source=source,
        seconds=seconds,
        refunded=seconds if is_refunded else 0,
        refund_reason=instance.reason.value if is_refunded and instance.reason else None,
        charged_at=now,
    )


def used_by_now(instance: Instance, hold: Hold, now: datetime) -> int:
    """Weighted seconds that a running instance would have used if it were stopped now."""
    if instance.usable_at is None:
        return 0
    return _weighted(hold, max(now - instance.usable_at, timedelta()))


def longest(hold: Hold) -> timedelta:
    """How long a run may last with what is set aside for it."""
    return timedelta(seconds=hold.seconds / hold.weight)


def _ends(
    instance: Instance, hold: Hold, began: datetime, seen_at: datetime | None, now: datetime
) -> Iterator[tuple[datetime, EndSource]]:
    noticed_at = instance.stopping_at or instance.ended_at or now
    if instance.died_at is not None:
        yield instance.died_at, EndSource.DEATH
    if instance.reason not in NOTICED:
        yield noticed_at, EndSource.STOP
    else:
        yield noticed_at, EndSource.SIGN
        if instance.died_at is None and seen_at is not None:
            yield seen_at, EndSource.SIGN
    yield began + longest(hold), EndSource.HOLD


def _weighted(hold: Hold, span: timedelta) -> int:
    """Rounded in the person's favour, and at most the hold."""
    return min(math.floor(hold.weight * span.total_seconds()), hold.seconds)
