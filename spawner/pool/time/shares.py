"""The float: what of last week's unused hours each person gets on top this week. Pure."""

from __future__ import annotations

import math

from spawner.catalog import AllowanceClass, Week
from spawner.ledger.time.rows import FloatShare


def share_of(one: AllowanceClass, week: Week, *, people: int, promised: int, used: int) -> FloatShare:
    """The float of a class in `week`.

    `people` had hours of it last week: `promised` weighted seconds together, of which they used `used`. Those who used
    more than that, by an earlier float or a grant, lower what is shared.
    """
    unused = max(0, promised - used)
    seconds = math.floor(one.float_share * unused / people) if people else 0
    return FloatShare(class_id=one.id, week=week.start, seconds=seconds, people=people, unused=unused)
