"""The user's page, its state as JSON and as live updates, and the examples' icons."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from tornado.web import HTTPError

from spawner.desk.common import StreamHandler
from spawner.desk.http import Handler, JsonHandler
from spawner.desk.user.allowance_strings import ALLOWANCE_STRINGS
from spawner.desk.user.http import OwnRows, UserHandler
from spawner.desk.user.landing import may_be_signed_in, show_landing
from spawner.desk.user.scripts import imports_of
from spawner.desk.user.strings import USER_STRINGS
from spawner.errors import Banned

OWN_SECONDS_PER_LISTENER = 0.015
"""An open page reads everything of its user at a change, also what has no mark (groups, class, hours, kept files), but
after so long at the earliest, for each open page: at once where few are open, every half minute with 2,000."""
SCRIPT = "user/desk.js"
IMPORTED = imports_of(SCRIPT, Path(__file__).parents[1] / "static")


class PageHandler(UserHandler):
    """GET /"""

    async def get(self) -> None:
        """The page with its first state, so that it is complete before its script asks for anything.

        `?example=ID` leads to the page that opens the example.
        """
        asked = self.get_query_argument("example", "")
        if any(example.id == asked for example in self.desk.catalog.examples):
            self.redirect(f"{self.desk.base}open?example={asked}")
            return
        state = (await self.state()).model_dump(mode="json")
        strings = {name: self.say(text) for name, text in (USER_STRINGS | ALLOWANCE_STRINGS).items()}
        imported = [self.static_url(path, include_version=False) for path in IMPORTED]
        page = self.render_page("user/desk.html", state=state, strings=strings, script=SCRIPT, imported=imported)
        self.finish(page)

    async def ask_to_sign_in(self) -> None:
        """The landing page, unless the hub may know this browser: then its login comes back here by itself."""
        if may_be_signed_in(self):
            await super().ask_to_sign_in()
        else:
            await show_landing(self)


class StateHandler(UserHandler, JsonHandler):
    """GET /api/state"""

    async def get(self) -> None:
        """The whole state."""
        self.answer(await self.state())


class EventsHandler(UserHandler, StreamHandler):
    """GET /api/events"""

    async def get(self) -> None:
        """Send states. A ban ends the stream, and the page then asks again."""
        try:
            await super().get()
        except Banned:
            if not self._headers_written:
                raise
            self.finish()

    seconds_per_listener = 0.0004  # most states are made without reading: 2,000 pages have one in 0.8 s
    own: OwnRows | None = None
    """What was read last, where it may be used again."""
    mark: tuple[Any, ...] = ()
    read_at = 0.0

    @property
    def _own_seconds(self) -> float:
        return self.desk.changes.listeners * OWN_SECONDS_PER_LISTENER

    async def refuse_banned(self) -> None:
        """Read the ban of a person who is listed. Raises `Banned`."""
        shared = await self.parts.shared.after(self.desk.changes.number)
        if self.person_id in shared.banned:
            await super().refuse_banned()

    async def current_state(self) -> BaseModel:
        """The user's state: of the pool's new snapshot and the rows read before, or, where a row of theirs may have
        changed, read anew."""
        shared = await self.parts.shared.after(self.desk.changes.number)
        mark, now = shared.mark(self.person_id), asyncio.get_running_loop().time()
        own, is_same = self.own, mark == self.mark and now - self.read_at < self._own_seconds
        if own is None or not is_same or self.parts.paid is not None:  # a mark says nothing of paid instances
            self.mark, self.read_at = mark, now  # before the rows are read: a change meanwhile gives another mark
            self.own = await self.read_own(await self.desk.ledger.aread(self.parts.snapshots.read, self.person_id))
            return self.compose(self.own)
        ticket = own.snapshot.ticket
        place = shared.places.get(ticket.id) if ticket else None
        self.own = replace(own, snapshot=replace(own.snapshot, pool=shared.pool, place=place))
        return self.compose(self.own)


class IconHandler(Handler):
    """GET /icons/ID.svg: an example's picture, from the folder of the examples"""

    needs_user = False

    def get(self, example_id: str) -> None:
        """404 for an example that the catalog does not have."""
        examples = {example.id: example for example in self.desk.catalog.examples}
        path = Path()
        if example_id in examples:
            path = self.desk.settings.examples / Path(examples[example_id].path).parent / "icon.svg"
        if not path.is_file():
            raise HTTPError(404)
        self.set_header("Content-Type", "image/svg+xml")
        self.set_header("Cache-Control", "public, max-age=3600")
        self.finish(path.read_bytes())
