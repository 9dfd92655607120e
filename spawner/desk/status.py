"""GET /status: for people, what of the platform works and what does not. /health is for probes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
from sqlalchemy import Connection

from spawner.desk.http import Handler
from spawner.errors import FreepoolError
from spawner.ledger import leases
from spawner.pool.build import utc_now

SECONDS = 3
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


class StatusHandler(Handler):
    """For everybody: it says no more than what a visitor could try."""

    needs_user = False

    async def get(self) -> None:
        """The page; 200 whatever it says, as the page itself works."""
        hub, (database, queue) = await asyncio.gather(self._hub(), self._ledger())
        works = {"pages": True, "hub": hub, "queue": queue, "database": database}
        parts = [
            PartView(name, self.say(title), works[name], "" if works[name] else self.say(text))
            for name, (title, text) in PARTS.items()
        ]
        self.finish(
            self.render_page(
                "shared/status.html", parts=parts, all_work=all(works.values()), at=self.time_text(utc_now())
            )
        )

    async def _hub(self) -> bool:
        try:
            async with asyncio.timeout(SECONDS):
                return await self.desk.hub.is_up()
        except (TimeoutError, aiohttp.ClientError, OSError, FreepoolError):
            return False

    async def _ledger(self) -> tuple[bool, bool]:
        """Whether the database answers, and whether the steward has looked."""

        def read(connection: Connection) -> bool:
            until = leases.ends_at(connection, leases.STEWARD)
            return until is not None and until > utc_now()

        try:
            async with asyncio.timeout(SECONDS):
                return True, await self.desk.ledger.aread(read)
        except (TimeoutError, FreepoolError):
            return False, False
