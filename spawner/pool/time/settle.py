"""Writes what a run used, and releases what was set aside for it.

Both are written when the end of a run is asked for or noticed, so that its person can start the next one at once. They
are written again when the run has ended: by then its true end or the platform's fault may be known. A charge then only
becomes lower. So each may be written any number of times, by any program, after any crash.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from spawner.ledger.pool import instances
from spawner.ledger.pool.rows import LIVE
from spawner.ledger.time import charges, grants, holds
from spawner.ledger.time.rows import Charge, GrantSource, Hold
from spawner.pool.time import meter


def settle(connection: Connection, instance_id: str, *, now: datetime) -> None:
    """Write the charge of an instance that is stopping or has ended. Does nothing for others, or without a hold."""
    hold = holds.get(connection, instance_id)
    if hold is None:
        return
    instance = instances.get(connection, instance_id)
    if instance.state in LIVE:
        return
    charge = meter.charge(instance, hold, seen_at=charges.last_sign(connection, instance_id), now=now)
    if charge is None:
        holds.remove(connection, instance_id)
        return
    before = charges.get(connection, instance_id)
    if before is None:
        charges.write(connection, charge)
    elif _counts(charge) < _counts(before):
        charges.replace(connection, charge)
    _give_back_borrowed(connection, hold, min(_counts(one) for one in (charge, before) if one is not None))
    holds.release(connection, instance_id, now=now)


def mark_ended(connection: Connection, instance_id: str, *, now: datetime) -> None:
    """STOPPING to ENDED, with the charge. Raises `LostRace` where it is not stopping."""
    instances.mark_ended(connection, instance_id, now=now)
    settle(connection, instance_id, now=now)


def settle_forgotten(connection: Connection, *, now: datetime, at_most: int = 100) -> int:
    """Settle instances that have ended while something is still set aside for them, as after a restored backup.

    Returns how many.
    """
    found = instances.ended_with_hold(connection, at_most=at_most)
    for instance_id in found:
        settle(connection, instance_id, now=now)
    return len(found)


def _counts(charge: Charge) -> int:
    return charge.seconds - charge.refunded


def _give_back_borrowed(connection: Connection, hold: Hold, used: int) -> None:
    """Reduce what the run borrowed of the next week to what it used of that, which is the last that it had."""
    moved = [
        one
        for one in grants.of_instance(connection, hold.person_id, hold.instance_id)
        if one.source is GrantSource.GRACE and one.seconds
    ]
    borrowed = sum(one.seconds for one in moved if one.seconds and one.seconds > 0)
    unused = borrowed - min(borrowed, max(0, used - (hold.seconds - borrowed)))
    if not unused:
        return
    holds.resize(connection, hold.instance_id, seconds=hold.seconds - unused)
    for sign in (1, -1):
        rest = unused
        for one in moved:
            size = (one.seconds or 0) * sign
            if size > 0:
                part = min(rest, size)
                grants.change(connection, one.id, seconds=(size - part) * sign)
                rest -= part
