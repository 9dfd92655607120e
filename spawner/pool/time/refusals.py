"""The refusal of a start for which no hours are left."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from spawner.catalog import Catalog, Flavor, Rights
from spawner.errors import NoHours
from spawner.pool.time.balance import Balance, class_of

LEAST = timedelta(minutes=5)
"""A start that could not run for so long is refused."""
USED_UP = "Your hours for {flavor} are used up for this week."
ALL_HELD = "The rest of your hours for {flavor} is set aside for a notebook that is running."
NEW_HOURS = "You get new hours on {resets_at}."
NEW_HOURS_OR = "You get new hours on {resets_at}. Without a limit: {free_flavors}."
STOP_IT = "Stop that notebook first."
TICKET_ENDED = "You left the queue when it was your turn: your hours for this machine type are used up for this week."
"""Detail of a ticket that was ended for this reason."""


def least_needed(flavor: Flavor, session: timedelta) -> float:
    """The least that must be left for a start, in weighted seconds. A session may be shorter than `LEAST`."""
    weight = flavor.allowance.weight if flavor.allowance else 1.0
    return min(LEAST, session).total_seconds() * weight


def no_hours(catalog: Catalog, rights: Rights, flavor_id: str, balance: Balance, needed: float) -> NoHours:
    """What the user reads, and the facts for programs. `needed`: weighted seconds."""
    free = free_flavors(catalog, rights)
    is_held = (balance.left or 0) + balance.held >= needed
    next_step = STOP_IT if is_held else NEW_HOURS_OR if free else NEW_HOURS
    return NoHours(
        ALL_HELD if is_held else USED_UP,
        next_step=next_step,
        facts={
            "class": balance.class_id,
            "left_seconds": balance.left,
            "held_seconds": balance.held,
            "resets_at": balance.resets_at.isoformat(),
            "free_flavors": free,
        },
        flavor=flavor_id,
        resets_at=local_text(balance.resets_at, catalog.allowances.timezone),
        free_flavors=", ".join(free),
    )


def free_flavors(catalog: Catalog, rights: Rights) -> list[str]:
    """The flavors that a person may use without a limit."""
    usable = (flavor for flavor in catalog.flavors if rights.flavor(flavor.id) is None)
    return [flavor.id for flavor in usable if not _is_limited(flavor, catalog, rights)]


def _is_limited(flavor: Flavor, catalog: Catalog, rights: Rights) -> bool:
    one = class_of(catalog, flavor)
    return one is not None and rights.allowance_hours(one) != math.inf


def local_text(time: datetime, zone: str) -> str:
    """A time in the platform's zone to the minute: `2026-11-30 00:00 (Asia/Shanghai)`."""
    return f"{time.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"
