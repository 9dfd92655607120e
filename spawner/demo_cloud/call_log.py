"""A log of all API calls, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request. `done`: whether it took effect; true also for reads that were answered.

    `subject`: name or id of the instance, for STS the role's ARN. `params` contain no secrets.
    """

    number: int
    at: str
    service: str
    region: str
    action: str
    mutates: bool
    done: bool
    status: int
    code: str
    account: str
    principal: str
    subject: str
    fault: str
    params: Mapping[str, Any]


class CallLog:
    """All calls since the start, or since `clear`."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._number = 0

    def add(self, **fields: Any) -> None:
        """Append a call with the next number."""
        self._number += 1
        self._calls.append(Call(number=self._number, **fields))

    def since(self, number: int) -> list[dict[str, Any]]:
        """Calls with a greater number."""
        return [asdict(call) for call in self if call.number > number]

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def clear(self) -> None:
        """Remove all calls. Numbers are not reused."""
        self._calls.clear()
