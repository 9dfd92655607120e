"""Handlers that belong to no single page: language, health, static files, sign-in, live updates, 404."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from jupyterhub.services.auth import HubOAuthCallbackHandler
from pydantic import BaseModel
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, StaticFileHandler

from spawner.desk.context import Desk
from spawner.desk.http import POLICY, Handler, JsonHandler
from spawner.desk.i18n import LANGUAGE_COOKIE, LANGUAGES, set_language_cookie
from spawner.desk.requests import form_fields
from spawner.errors import Banned
from spawner.origins import is_plain
from spawner.plain_errors import write_plain_error
from spawner.request_ids import set_request_id

KEEPALIVE_SECONDS = 10
"""A proxy can keep the browser's connection open after the desk has died. So the page closes a stream that has sent
nothing for `SILENCE_MS` (live.js)."""
SECONDS_PER_LISTENER = 0.015
"""Minimum interval between two states of one stream, for each open stream, where each state is read by itself. With 200
open pages a change is shown after three seconds, and the desk has time to answer other requests."""


class LanguageForm(BaseModel):
    """`here`: the URL to return to."""

    language: str = ""
    here: str = ""


class LanguageHandler(Handler):
    """POST /language"""

    serves_banned = True

    async def post(self) -> None:
        """Store the language in a cookie, and redirect to the page."""
        form = LanguageForm.model_validate(form_fields(self))
        keep_language(self, form.language)
        self.redirect(safe_address(self, form.here), status=303)


class LanguageLinkHandler(Handler):
    """GET /language/TAG?here=, for pages without a form: those of errors, and those for strangers"""

    needs_user = False

    def get(self, tag: str) -> None:
        """Store the language, and go back to the page."""
        keep_language(self, tag)
        self.redirect(safe_address(self, self.get_query_argument("here", "")), status=303)


def keep_language(handler: Handler, tag: str) -> None:
    """Store a language of ours in the cookie."""
    if tag not in LANGUAGES:
        return
    # A cookie of version 0.2 has the desk's path, and would come first.
    handler.add_header("Set-Cookie", f"{LANGUAGE_COOKIE}=; Max-Age=0; Path={handler.desk.base}")
    set_language_cookie(handler, tag)


def use_asked_language(handler: Handler) -> None:
    """Show this page in the language that `?language=` asks for, and store it."""
    asked = handler.get_query_argument("language", None)
    if asked is not None and asked in LANGUAGES:
        keep_language(handler, asked)
        handler.language_texts = handler.desk.texts[asked]


def safe_address(handler: Handler, here: str) -> str:
    """This address, if it is one of the desk's; else the home page. `..` would lead to any other page of this host."""
    is_ours = here.startswith(handler.desk.base) and is_plain(here)
    leads_out = ".." in unquote(here.partition("?")[0]).split("/")
    return here if is_ours and not leads_out else handler.desk.base


class StreamHandler(JsonHandler):
    """Base of server-sent events, each a whole state. Subclasses say which."""

    is_closed = False
    seconds_per_listener = SECONDS_PER_LISTENER

    def on_connection_close(self) -> None:
        """The client has closed the connection."""
        self.is_closed = True

    async def get(self) -> None:
        """Send the state now and after every change, until the client closes the connection."""
        with self.streams.place(self.person_id):
            await self._send()

    async def _send(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        sent = ""
        while not self.is_closed:
            change = self.desk.changes.number
            try:
                await self.refuse_banned()
            except Banned:  # it ends, and the page then asks again
                return
            state = await self.current_state()
            content = state.model_dump_json(exclude={"now"})
            if content != sent:
                sent = content
                self.write(f"data: {state.model_dump_json()}\n\n")
            else:
                self.write("event: alive\ndata: still here\n\n")
            try:
                await self.flush()
            except StreamClosedError:
                return
            await self.next_change(change)

    async def current_state(self) -> BaseModel:
        """The state to send. Its field `now` is ignored when two states are compared."""
        raise NotImplementedError

    async def next_change(self, after: int) -> None:
        """Wait for a change of the ledger later than change number `after`, or for the keepalive."""
        await asyncio.sleep(self.desk.changes.listeners * self.seconds_per_listener)
        await self.desk.changes.next(seconds=KEEPALIVE_SECONDS, after=after)


class OpenApiHandler(JsonHandler):
    """GET /api/openapi.json"""

    needs_user = False

    def initialize(self, desk: Desk, document: dict[str, Any]) -> None:
        """`document` is the OpenAPI document."""
        super().initialize(desk)
        self.document = document

    def get(self) -> None:
        """Send the document."""
        self.finish(self.document)


class HealthHandler(JsonHandler):
    """GET /health, for probes"""

    needs_user = False

    def get(self) -> None:
        """200 as long as the event loop works."""
        self.finish({"status": "ok"})


class FileHandler(StaticFileHandler):
    """Static files: scripts, styles, pictures."""

    def set_default_headers(self) -> None:
        """No frames, for errors neither: a document below the desk's URL can read the desk's cookies."""
        set_request_id(self)
        self.set_header("Content-Security-Policy", POLICY)

    def write_error(self, status_code: int, **_: Any) -> None:
        """A line of text."""
        write_plain_error(self, status_code)

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002
        """Modules import each other by URLs without a version: the browser must revalidate those."""
        self.set_header("X-Content-Type-Options", "nosniff")
        if not self.get_argument("v", None):
            self.set_header("Cache-Control", "no-cache")


class NotFoundHandler(Handler):
    """Every other URL."""

    needs_user = False
    shows_account = True

    async def prepare(self) -> None:
        """404, as JSON below /api/ and as a page elsewhere."""
        self.wants_json = bool(re.match(re.escape(self.desk.base) + "api/", self.request.path))
        await super().prepare()
        raise HTTPError(404)


class OtherHubHandler(Handler):
    """GET /other-hub?hub=&state=: this hub's login has found that the person is of another one.

    Redirects there, to the page that the user asked for before the sign-in. The user is not signed in here.
    """

    needs_user = False
    shows_account = True

    def get(self) -> None:
        """Redirect. 404 for a hub that is not in the settings."""
        following = urlsplit(self.hub_auth.get_next_url(self.get_argument("state", "")))
        target = following._replace(scheme="", netloc="").geturl()
        url = self.desk.settings.hubs.url_on(self.get_argument("hub", ""), target)
        if url is None:
            raise HTTPError(404)
        self.redirect(url)


class CallbackHandler(HubOAuthCallbackHandler, Handler):
    """GET /oauth_callback: JupyterHub redirects here after the sign-in."""

    needs_user = False

    def set_default_headers(self) -> None:
        """No frames; the URL holds a code, which no Referer header may carry."""
        set_request_id(self)
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Referrer-Policy", "no-referrer")

    def initialize(self, desk: Desk) -> None:
        """Use the application's HubOAuth, not one made from environment variables."""
        Handler.initialize(self, desk)
