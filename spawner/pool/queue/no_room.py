"""What the cluster lacked when it had no room, and whether the end of a notebook would make some. Pure."""

from __future__ import annotations

import re
from enum import StrEnum

_LIMITED = re.compile(r"limited: (?P<limits>.+)$")
_ZERO = re.compile(r"=0[a-zA-Z]*(?:,|$)")


def an_end_helps(message: str) -> bool:
    """False where nodes are cordoned, tainted or of another kind, or a quota is zero: the message is the scheduler's or
    the API server's. True where resources are used up, and where the message is not known."""
    if "exceeded quota" in message:
        found = _LIMITED.search(message)
        return found is None or _ZERO.search(found["limits"]) is None
    is_schedulers = "nodes are available" in message
    return not is_schedulers or "Insufficient" in message or "Too many pods" in message


class Lack(StrEnum):
    """What there is too little of for one more instance, though its flavor's limit is not reached."""

    MEMORY = "memory"
    """Of one machine, which all flavors share."""
    NODES = "nodes"
    CORDONED = "cordoned"
    """A node that could have room is cordoned."""
    QUOTA = "quota"


def lack_of(message: str) -> Lack:
    """What a cluster lacked, by the scheduler's message or the API server's."""
    if "exceeded quota" in message:
        return Lack.QUOTA
    return Lack.CORDONED if "were unschedulable" in message else Lack.NODES
