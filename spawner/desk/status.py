"""GET /status: for people, what of the platform works and what does not. /health is for probes.

The metrics have the same look at hub, proxy and database.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import aiohttp
from sqlalchemy import Connection

from spawner.aio import Recent
from spawner.desk.context import Desk
from spawner.desk.http import Handler
from spawner.errors import FreepoolError
from spawner.ledger import leases
from spawner.pool.build import utc_now

SECONDS = 3
FRESH_SECONDS = 5
"""A page that is reloaded again and again, by however many visitors, costs one look."""
PARTS = {
    "pages": ("Pages", "You see this page, so they work."),
    "hub": (
        "Sign-in and starts",
        "Signing in, starting and stopping do not work right now. Running notebooks are not affected.",
    ),
    "queue": ("Queue and time limits", "The queue does not move, and no notebook is started for it right now."),
    "database": ("Database", "States and prices cannot be read right now. Running notebooks are not affected."),
}
"""By id: the name, and what it means that it does not work. Of the pages: that they do."""


@dataclass(frozen=True)
class PartView:
    """One part; `text` says what its failure means, in the user's language."""

    id: str
    title: str
    works: bool
    text: str


@dataclass(frozen=True)
class Status:
    """Whether each part works, by id. `database_seconds`: how long a small read took; None where it failed.

    `proxy` is among the parts where the desk knows its address. The page leaves it out: who reads it came by the proxy.
    """

    works: dict[str, bool]
    at: datetime
    database_seconds: float | None = None


class StatusHandler(Handler):
    """For everybody: it says no more than what a visitor could try."""

    needs_user = False
    shows_account = True

    def initialize(self, desk: Desk, status: Recent[Status]) -> None:
        """`status` is read for all visitors at once."""
        super().initialize(desk)
        self.status = status

    async def get(self) -> None:
        """The page; 200 whatever it says, as the page itself works."""
        found = await self.status.get()
        parts = [
            PartView(name, self.say(title), found.works[name], "" if found.works[name] else self.say(text))
            for name, (title, text) in PARTS.items()
        ]
        all_work = all(found.works.values())
        self.finish(self.render_page("shared/status.html", parts=parts, all_work=all_work, at=self.time_text(found.at)))


def recent_status(desk: Desk) -> Recent[Status]:
    """The status, looked at once in `FRESH_SECONDS`."""

    async def look() -> Status:
        url = desk.settings.desk_url_of_instances
        hub, proxy, (seconds, queue) = await asyncio.gather(_hub(desk), _proxy(url), _ledger(desk))
        works = {"pages": True, "hub": hub, "queue": queue, "database": seconds is not None}
        return Status(works | ({"proxy": proxy} if url else {}), utc_now(), seconds)

    return Recent(look, seconds=FRESH_SECONDS)


async def _hub(desk: Desk) -> bool:
    try:
        async with asyncio.timeout(SECONDS):
            return await desk.hub.is_up()
    except (TimeoutError, aiohttp.ClientError, OSError, FreepoolError):
        return False


async def _proxy(url: str) -> bool:
    """Whether the desk reaches itself by the proxy. `url` is the desk's there, or empty."""
    if not url:
        return False
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        # On a connection of its own: one that is kept says nothing about the next client's.
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}health") as answer:
            return answer.status == HTTPStatus.OK
    except (TimeoutError, aiohttp.ClientError, OSError):
        return False


async def _ledger(desk: Desk) -> tuple[float | None, bool]:
    """How long the database took to answer, None where it did not, and whether the steward has looked."""

    def read(connection: Connection) -> bool:
        until = leases.steward_ends_at(connection, desk.settings.hubs.name)
        return until is not None and until > utc_now()

    began = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            has_looked = await desk.ledger.aread(read)
    except (TimeoutError, FreepoolError):
        return None, False
    return time.monotonic() - began, has_looked
