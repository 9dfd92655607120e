"""The user's page, its state as JSON and as live updates, and the examples' icons."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel
from tornado.web import HTTPError

from spawner.desk.common import StreamHandler
from spawner.desk.http import Handler, JsonHandler
from spawner.desk.user.allowance_strings import ALLOWANCE_STRINGS
from spawner.desk.user.http import UserHandler
from spawner.desk.user.landing import may_be_signed_in, show_landing
from spawner.desk.user.strings import USER_STRINGS
from spawner.errors import Banned


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
        self.finish(self.render_page("user/desk.html", state=state, strings=strings))

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

    async def current_state(self) -> BaseModel:
        """The user's state."""
        return await self.state()


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
