"""What the ledger knows about how long people will wait, flavor by flavor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.ledger import Instance, InstanceState, Ticket, instances, tickets
from spawner.pool.waits import Running, Sessions, Wait, calibrated, foretell

LEARN_FOR = timedelta(days=7)
"""How far back sessions and waits are looked at to foretell the next."""
FRESH = timedelta(seconds=30)
"""How long what was learned from them holds before it is looked up again: a crowd in line asks all the time."""


@dataclass(frozen=True)
class Outlook:
    """What one flavor's waits are foretold from. `past` are (foretold middle, actual) seconds."""

    running: Sequence[Running]
    sessions: Sessions
    past: Sequence[tuple[float, float]]

    def wait(self, place: int) -> Wait | None:
        """How long the one at this place, from 1, will wait; None where nothing runs that could end."""
        wait = foretell(place, self.running, self.sessions)
        return None if wait is None else calibrated(wait, self.past)


@dataclass(frozen=True)
class _Learned:
    at: datetime
    sessions: dict[str, Sessions]
    past: dict[str, list[tuple[float, float]]]


class Outlooks:
    """Makes them from the ledger's rows."""

    def __init__(self, catalog: Catalog, now: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._now = now
        self._learned: _Learned | None = None

    def of(self, connection: Connection) -> dict[str, Outlook]:
        """The outlook of each flavor."""
        learned = self._learn(connection)
        running = instances.unended(connection)
        return {
            flavor.id: Outlook(self._running(running, flavor.id), learned.sessions[flavor.id], learned.past[flavor.id])
            for flavor in self._catalog.flavors
        }

    def _running(self, loans: Sequence[Instance], flavor: str) -> list[Running]:
        now = self._now()
        longest = self._longest(flavor)
        return [
            Running(
                age=(now - loan.usable_at).total_seconds(),
                left=(loan.ends_at - now).total_seconds() if loan.ends_at else longest,
            )
            for loan in loans
            if loan.flavor == flavor and loan.state is InstanceState.RUNNING and loan.usable_at
        ]

    def _learn(self, connection: Connection) -> _Learned:
        now = self._now()
        if self._learned is None or now - self._learned.at > FRESH:
            ended = instances.ended_since(connection, now - LEARN_FOR)
            waited = tickets.since(connection, now - LEARN_FOR)
            self._learned = _Learned(
                now,
                {
                    flavor.id: Sessions(_lengths(ended, flavor.id), self._longest(flavor.id))
                    for flavor in self._catalog.flavors
                },
                {flavor.id: past_waits(waited, flavor.id) for flavor in self._catalog.flavors},
            )
        return self._learned

    def _longest(self, flavor: str) -> float:
        return self._catalog.flavor(flavor).session_minutes * 60.0


def _lengths(ended: Sequence[Instance], flavor: str) -> list[float]:
    return [
        (loan.ended_at - loan.usable_at).total_seconds()
        for loan in ended
        if loan.flavor == flavor and loan.usable_at and loan.ended_at
    ]


def past_waits(known: Sequence[Ticket], flavor: str) -> list[tuple[float, float]]:
    """What was foretold (the middle) and what it became, in seconds, of those whose turn has come."""
    return [
        ((one.expected_low + one.expected_high) / 2, (one.called_at - one.joined_at).total_seconds())
        for one in known
        if one.flavor == flavor and one.called_at and one.expected_low is not None and one.expected_high is not None
    ]
