"""GET /status: for people, what of the platform works and what does not. /health is for probes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

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
    """Whether each part works, by id."""

    works: dict[str, bool]
    at: datetime


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
        hub, (database, queue) = await asyncio.gather(_hub(desk), _ledger(desk))
        return Status({"pages": True, "hub": hub, "queue": queue, "database": database}, utc_now())

    return Recent(look, seconds=FRESH_SECONDS)


async def _hub(desk: Desk) -> bool:
    try:
        async with asyncio.timeout(SECONDS):
            return await desk.hub.is_up()
    except (TimeoutError, aiohttp.ClientError, OSError, FreepoolError):
        return False


async def _ledger(desk: Desk) -> tuple[bool, bool]:
    """Whether the database answers, and whether the steward has looked."""

    def read(connection: Connection) -> bool:
        until = leases.ends_at(connection, leases.STEWARD)
        return until is not None and until > utc_now()

    try:
        async with asyncio.timeout(SECONDS):
            return True, await desk.ledger.aread(read)
    except (TimeoutError, FreepoolError):
        return False, False
