"""The desk's pages, its state, and what goes with them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from jupyterhub.services.auth import HubOAuthCallbackHandler
from pydantic import BaseModel
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, StaticFileHandler

from spawner.desk.http import ALONE, LANGUAGE_COOKIE, POLICY, Desk, Handler, JsonHandler
from spawner.desk.i18n import LANGUAGES
from spawner.desk.openapi import openapi
from spawner.desk.paid.openapi import with_paid
from spawner.desk.user.strings import USER_STRINGS

KEEPALIVE_SECONDS = 10
"""A proxy may keep a reader's connection open when the desk behind it has died. So silence has to mean something: the
page gives a stream up that has said nothing for a while (`SILENCE_MS` in live.js)."""
SECONDS_PER_LISTENER = 0.015
"""For each open page, between two states sent to the same one: a crowd of 200 sees the news three seconds later, and
the desk has time for those who click."""


LOCAL_PATH = re.compile(r"[!-\[\]-~]+")
"""Addresses without white space, and without what browsers take for a slash."""


class PageHandler(Handler):
    """GET /: the desk itself."""

    async def get(self) -> None:
        """The page, complete with its first state."""
        self.set_header("Cross-Origin-Opener-Policy", ALONE)
        state = (await self.state()).model_dump(mode="json")
        strings = {name: self.say(text) for name, text in USER_STRINGS.items()}
        self.finish(self.render_page("user/desk.html", state=state, strings=strings))


class LanguageHandler(Handler):
    """POST /language"""

    async def post(self) -> None:
        """Remember the language and go back."""
        language = self.get_body_argument("language", "")
        if language in LANGUAGES:
            self.set_cookie(
                LANGUAGE_COOKIE,
                language,
                path=self.desk.base,
                expires_days=365,
                httponly=True,
                samesite="Lax",
            )
        here = self.get_body_argument("here", "")
        is_ours = here.startswith(self.desk.base) and LOCAL_PATH.fullmatch(here) is not None
        self.redirect(here if is_ours else self.desk.base, status=303)


class StateHandler(JsonHandler):
    """GET /api/state"""

    async def get(self) -> None:
        """Everything."""
        self.answer(await self.state())


class EventsHandler(JsonHandler):
    """GET /api/events: server-sent events, each a whole state."""

    is_gone = False

    def on_connection_close(self) -> None:
        """The reader has left."""
        self.is_gone = True

    async def get(self) -> None:
        """Send the state now and after every change, until the reader leaves."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        sent = ""
        while not self.is_gone:
            known = self.desk.changes.number
            state = await self.shown()
            news = state.model_dump_json(exclude={"now"})
            if news != sent:
                sent = news
                self.write(f"data: {state.model_dump_json()}\n\n")
            else:
                self.write("event: alive\ndata: still here\n\n")
            try:
                await self.flush()
            except StreamClosedError:
                return
            await self.next_change(known)

    async def shown(self) -> BaseModel:
        """What is sent. It has a field `now`, which alone is no news."""
        return await self.state()

    async def next_change(self, known: int) -> None:
        """Wait for a reason to look again."""
        await asyncio.sleep(self.desk.changes.listeners * SECONDS_PER_LISTENER)
        await self.desk.changes.next(seconds=KEEPALIVE_SECONDS, after=known)


class OpenApiHandler(JsonHandler):
    """GET /api/openapi.json"""

    needs_user = False

    def get(self) -> None:
        """The API, described."""
        described = openapi(self.desk.base)
        self.finish(described if self.desk.paid is None else with_paid(described))


class HealthHandler(JsonHandler):
    """GET /health"""

    needs_user = False

    def get(self) -> None:
        """For probes."""
        self.finish({"status": "ok"})


class IconHandler(Handler):
    """GET /icons/ID.svg: an example's picture, from the examples' own folder."""

    needs_user = False

    def get(self, example_id: str) -> None:
        """Only what the catalog names."""
        known = {example.id: example for example in self.desk.catalog.examples}
        path = Path()
        if example_id in known:
            path = self.desk.settings.examples / Path(known[example_id].path).parent / "icon.svg"
        if not path.is_file():
            raise HTTPError(404)
        self.set_header("Content-Type", "image/svg+xml")
        self.set_header("Cache-Control", "public, max-age=3600")
        self.finish(path.read_bytes())


class FileHandler(StaticFileHandler):
    """The desk's own scripts and styles."""

    def set_default_headers(self) -> None:
        """In no frame, mistakes included: a document below the desk can read the cookies that are for the desk."""
        self.set_header("Content-Security-Policy", POLICY)

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002
        """Modules import each other without a version: the browser asks whether they have changed."""
        self.set_header("X-Content-Type-Options", "nosniff")
        if not self.get_argument("v", None):
            self.set_header("Cache-Control", "no-cache")


class NotFoundHandler(Handler):
    """Everything else."""

    needs_user = False

    async def prepare(self) -> None:
        """404 in the form that the asker reads."""
        self.wants_json = bool(re.match(re.escape(self.desk.base) + "api/", self.request.path))
        await super().prepare()
        raise HTTPError(404)


class CallbackHandler(HubOAuthCallbackHandler):
    """GET /oauth_callback: the end of signing in."""

    def set_default_headers(self) -> None:
        """In no frame, as everything here."""
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "no-referrer")

    def initialize(self, desk: Desk) -> None:  # noqa: ARG002  (the others' signature)
        """Use our HubOAuth, not one made from environment variables."""
        self.hub_auth = self.settings["hub_auth"]
