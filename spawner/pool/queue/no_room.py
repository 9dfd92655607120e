"""Whether the end of a notebook would make room, by what the cluster said when it had none. Pure."""

from __future__ import annotations

import re

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
