"""The rows that are not over: slots that use capacity, unended instances, open tickets. Read again only after a change.

The steward looks at all of them several times in a round, and most of the time nothing has changed since.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from spawner.ledger.pool import instances, slots, tickets
from spawner.ledger.pool.rows import Instance, Slot, Ticket
from spawner.ledger.transitions import revision

FRESH_SECONDS = 3.0
"""Rows are read again after so long in any case: somebody may have changed them by hand."""


@dataclass(frozen=True)
class OpenRows:
    """Of one transaction. Lists are shared: nobody changes them."""

    revision: int
    slots: list[Slot]
    instances: list[Instance]
    tickets: list[Ticket]


class OpenRowsReader:
    """Keeps the last rows. Every change of a row that is not over increments the ledger's revision.

    `told_at` of a ticket is the exception: see `tickets.untold`.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: OpenRows | None = None
        self._read_at = float("-inf")

    def read(self, connection: Connection) -> OpenRows:
        """The rows as this transaction sees them."""
        current, last, now = revision(connection), self._last, self._monotonic()
        if last is None or last.revision != current or now - self._read_at > FRESH_SECONDS:
            self._read_at = now
            last = self._last = OpenRows(
                current,
                slots.occupying(connection),
                instances.unended(connection),
                tickets.alive(connection),
            )
        return last
