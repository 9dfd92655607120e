"""What an instance reports about its own use (`spawner/instance/activity.py`). Reads it; pure.

Code in an instance can write any answer here. All that a false one can do is keep its own instance running until its
deadline, or have it stopped: nothing here is about another instance, and nothing gets more than its time.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

LARGEST_REPORT = 16 * 1024
"""Bytes."""
MOST_ENTRIES = 1000


@dataclass(frozen=True)
class Report:
    """How an instance says that it is used.

    `busy_seconds`: of the kernel that has been busy longest; None where none is. `terminals`: with a program in them.
    `tabs`: open browser tabs. `input_at` and `now` are seconds by the instance's own clock. `processor_seconds` and
    `network` (bytes) are counters since its creation, where it can read them. `opened`: whether anybody has used it
    since its start; None where it does not say.
    """

    now: float
    busy_seconds: float | None = None
    terminals: int = 0
    tabs: int | None = None
    input_at: float | None = None
    processor_seconds: float | None = None
    network: int | None = None
    opened: bool | None = None


def parse_report(body: bytes) -> Report | None:
    """The report in an answer; None where it is none."""
    if len(body) > LARGEST_REPORT:
        return None
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    now = _number(fields.get("now")) if isinstance(fields, dict) else None
    if now is None:
        return None
    kernels = [one for one in _entries(fields.get("kernels")) if one.get("busy") is True]
    tabs = _number(fields.get("tabs"))
    network = _number(fields.get("network"))
    return Report(
        now=now,
        busy_seconds=max((_age(one.get("since"), now) for one in kernels), default=None),
        terminals=sum(_number(one.get("children")) not in (None, 0) for one in _entries(fields.get("terminals"))),
        tabs=None if tabs is None else int(tabs),
        opened=fields["opened"] if isinstance(fields.get("opened"), bool) else None,
        input_at=_number(fields.get("input_at")),
        processor_seconds=_number(fields.get("processor_seconds")),
        network=None if network is None else int(network),
    )


def _entries(value: Any) -> list[dict[str, Any]]:
    entries = value[:MOST_ENTRIES] if isinstance(value, list) else []
    return [one for one in entries if isinstance(one, dict)]


def _number(value: Any) -> float | None:
    """A number of at least 0 that the ledger can store."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e15 and math.isfinite(value) else None


def _age(since: Any, now: float) -> float:
    number = _number(since)
    return 0.0 if number is None else max(0.0, now - number)
