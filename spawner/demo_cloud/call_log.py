"""Every call of the cloud's API, kept in order: what was asked, by whom, and whether it could have changed anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """One request. `done` says whether it took effect (a read that was answered did, too).

    `subject` is the instance's name or id, a role's ARN for STS. `params` holds no secrets.
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
        """Number it and keep it."""
        self._number += 1
        self._calls.append(Call(number=self._number, **fields))

    def since(self, number: int) -> list[dict[str, Any]]:
        """Those after this one."""
        return [asdict(call) for call in self if call.number > number]

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def clear(self) -> None:
        """Forget them; numbers go on."""
        self._calls.clear()
