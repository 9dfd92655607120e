"""What this instance's server knows about its apps: rules, who may see them, who does, whether they are used."""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from spawner.instance.activity import INPUT
from spawner.instance.apps.access import Access, Visit
from spawner.instance.apps.rules import Rules
from spawner.instance.apps.use import Uses

SETTING = "freepool_apps"
MOST_CONNECTIONS, MOST_OF_VISITORS = 256, 192
"""Of all apps of one instance at once; visitors leave some for the owner."""


class _Closable(Protocol):
    def close(self) -> None: ...


@dataclass(eq=False)
class Connection:
    """A connection to an app, from before the app is reached. `streams`: what is open of it."""

    visit: Visit
    streams: list[_Closable] = field(default_factory=list)
    is_cut: bool = False

    def cut(self) -> None:
        """Close what is open. What is not open yet must not be used."""
        self.is_cut = True
        for stream in self.streams:
            stream.close()


@dataclass
class Apps:
    """One for each server, in its Tornado settings."""

    rules: Rules
    user: str
    settings: MutableMapping[str, Any]
    access: Access = field(default_factory=Access)
    uses: Uses = field(default_factory=Uses)
    connections: set[Connection] = field(default_factory=set)
    opened: set[int] = field(default_factory=set)
    """Ports that somebody has opened as an app."""

    @property
    def lab_url(self) -> str:
        """URL of this server's own pages, on its user's host; a path where apps have no hosts."""
        return f"{self.rules.lab_origin}{self.settings['base_url']}"

    @property
    def cookie_name(self) -> str:
        """Bound to the app's host by its prefix where there is TLS."""
        return "__Host-freepool-app" if self.rules.is_secure else "freepool-app"

    @property
    def open_pages(self) -> int:
        """Browsers that have a connection to an app: each has a page open."""
        return len({connection.visit.key for connection in self.connections})

    def note(self, browser: str, what: str) -> None:
        """A request that can be somebody's. Counts as input unless it is a poll."""
        if self.uses.is_use(browser, what, time.monotonic()):
            self.settings[INPUT] = time.time()

    def has_room(self, visit: Visit) -> bool:
        """Whether one more connection may be opened."""
        visitors = sum(not connection.visit.is_owner for connection in self.connections)
        return len(self.connections) < MOST_CONNECTIONS and (visit.is_owner or visitors < MOST_OF_VISITORS)

    @contextmanager
    def connected(self, visit: Visit) -> Iterator[Connection]:
        """Count a connection, and have it cut where its visit is revoked. Enter it before the app is reached."""
        connection = Connection(visit)
        self.connections.add(connection)
        try:
            yield connection
        finally:
            self.connections.discard(connection)

    def revoke(self, share_id: str) -> bool:
        """End a share and cut its visitors' connections."""
        is_there = self.access.revoke(share_id)
        for connection in [one for one in self.connections if one.visit.by == share_id]:
            connection.cut()
        return is_there
