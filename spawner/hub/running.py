"""Which servers run, read once for all who ask at about the same time: polls, and a hub that comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from spawner.errors import BackendUnavailable
from spawner.hub_settings import MAIN_HUB
from spawner.ledger import Ledger
from spawner.ledger.people import people
from spawner.ledger.people.rows import HubUser, Person
from spawner.ledger.pool import instances
from spawner.ledger.pool.instances import ServedServer
from spawner.pool.backends.base import Phase
from spawner.pool.slot_view import SlotView

FRESH_SECONDS = 1.0
"""How old a snapshot may be. It only says what runs; whatever it does not list is read alone."""


@dataclass(frozen=True)
class RunningServers:
    """RUNNING instances by person and server, and this hub's people who have them, by name and time in JupyterHub."""

    instances: Mapping[tuple[str, str], ServedServer]
    people: Mapping[tuple[str, str | None], Person]


def read_running(connection: Connection, hub: str = MAIN_HUB) -> RunningServers:
    """In one transaction, two queries."""
    return RunningServers(
        instances.served(connection),
        {
            (one.hub_name, one.hub_since): one
            for one in people.with_instances(connection, hub)
            if one.hub_id is not None
        },
    )


class RunningReader:
    """Reads and shares the snapshot."""

    def __init__(
        self, ledger: Ledger, view: SlotView, monotonic: Callable[[], float] = time.monotonic, *, hub: str = MAIN_HUB
    ) -> None:
        self._hub = hub
        self._ledger = ledger
        self._view = view
        self._monotonic = monotonic
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._found = RunningServers({}, {})

    async def servers(self) -> RunningServers:
        """The snapshot, at most `FRESH_SECONDS` old. Raises `LedgerError`."""
        async with self._reading:
            if self._monotonic() - self._read_at > FRESH_SECONDS:
                self._found = await self._ledger.aread(read_running, self._hub)
                self._read_at = self._monotonic()
            return self._found

    async def keys(self) -> Collection[tuple[str, str]]:
        """Person and server name of each that runs by the ledger. Raises `LedgerError`."""
        return (await self.servers()).instances.keys()

    async def person(self, user: HubUser) -> Person | None:
        """Who a user with a running instance is; None where the snapshot does not say."""
        found = (await self.servers()).people.get((user.name, user.since))
        return found if found is not None and found.hub_id == user.id else None

    async def instance(self, person_id: str, server_name: str) -> ServedServer | None:
        """A server's instance, if it runs and its slot lives; else None, and the caller looks for itself."""
        found = (await self.servers()).instances.get((person_id, server_name))
        try:
            status = (await self._view.now()).get((found.slot_id if found else None) or "")
        except BackendUnavailable:
            return None
        return found if status is not None and status.phase is not Phase.DEAD else None
