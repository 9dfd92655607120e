"""The desk's HTTP handlers. Every change is a POST that JupyterHub's own XSRF check has let through."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment
from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated, UserNotAllowed
from pydantic import BaseModel
from sqlalchemy import Connection
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, StaticFileHandler

from spawner import __version__
from spawner.catalog import Catalog
from spawner.desk.api import Nothing, StartRequest, openapi, parse
from spawner.desk.changes import Changes
from spawner.desk.moment import Moments
from spawner.desk.state import State, build_state
from spawner.desk.strings import JS_STRINGS
from spawner.desk.texts import LANGUAGES, Texts, choose_language
from spawner.errors import FreepoolError, NotAllowed, NotOffered, Queued, Refusal
from spawner.hubclient import HubClient, HubSaid
from spawner.ledger import Instance, InstanceState, Ledger, TicketState, instances, tickets
from spawner.ledger.model import LIVE
from spawner.pool.admission import Admission, Wish
from spawner.pool.backends.base import Backend
from spawner.pool.build import utc_now
from spawner.pool.options import choose
from spawner.settings import Settings

log = logging.getLogger("freepool.desk")
LANGUAGE_COOKIE = "freepool-language"
PATIENCE = 0.8
"""Seconds that a POST waits for a start before it answers 202: a warm start is over by then, and the page shows the
progress of any other."""
STOP_SECONDS = 20
KEEPALIVE_SECONDS = 10
"""A proxy may keep a reader's connection open when the desk behind it has died. So silence has to mean something: the
page gives a stream up that has said nothing for a while (`SILENCE_MS` in live.js)."""
CROWD = timedelta(seconds=0.5)
"""How old the rest of the pool may be in the answer to somebody who joins the line: each of a crowd changes it."""
BREATH_SECONDS = 0.005
"""For each open page, between two states sent to the same one: a crowd sees the news a second later, and the desk has
time for those who click."""
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"


@dataclass
class Desk:
    """What all handlers share."""

    settings: Settings
    catalog: Catalog
    backend: Backend
    ledger: Ledger
    admission: Admission
    moments: Moments
    hub: HubClient
    changes: Changes
    texts: dict[str, Texts]
    templates: Environment
    base: str
    starts: set[asyncio.Task[None]] = field(default_factory=set)


class Handler(HubOAuthenticated, RequestHandler):
    """Base of all: who is it, in which language, and errors in words."""

    desk: Desk
    wants_json = False
    needs_user = True

    def initialize(self, desk: Desk) -> None:
        """Tornado hands the shared parts over."""
        self.desk = desk
        self.hub_auth = self.settings["hub_auth"]

    def set_default_headers(self) -> None:
        """Strict by default: nothing from elsewhere, no frame around us."""
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:
        """Identify the user off the event loop's critical path; cookies come with JupyterHub's XSRF check."""
        language = choose_language(self.get_cookie(LANGUAGE_COOKIE), self.request.headers.get("Accept-Language"))
        self.language_texts = self.desk.texts[language]
        if not self.needs_user:
            self.current_user = None
            return
        try:
            self.current_user = await self.identify()
        except UserNotAllowed:
            raise NotAllowed(
                "This token may not use the desk.", next_step="Give it the scope access:services!service=desk."
            ) from None
        if self.current_user is None:
            if self.wants_json or self.request.method != "GET":
                raise HubSaid(
                    403,
                    "You are not signed in.",
                    code="signed_out",
                    next_step="Sign in, or send a valid token and XSRF token.",
                )
            self.redirect(self.get_login_url())

    async def identify(self) -> Any:
        """The person who asks, as JupyterHub describes them; None for nobody, and for a service."""
        user = await self.hub_auth.get_user(self, sync=False)
        return self.check_hub_user(user) if user and user.get("kind", "user") == "user" else None

    @property
    def user_name(self) -> str:
        """Name of the signed-in user."""
        assert self.current_user is not None  # `prepare` has seen to it
        return str(self.current_user["name"])

    def say(self, message: str, **params: object) -> str:
        """In the reader's language."""
        return self.language_texts.say(message, **params)

    async def state(self, *, patience: timedelta = timedelta(0)) -> State:
        """The desk as this user sees it now; what is not theirs may be older by `patience`."""
        desk = self.desk
        moment = await desk.ledger.aread(desk.moments.read, self.user_name, patience=patience)
        return build_state(
            moment,
            user_name=self.user_name,
            admin=bool((self.current_user or {}).get("admin")),
            catalog=desk.catalog,
            backend=desk.backend,
            texts=self.language_texts,
            base=desk.base,
            now=utc_now(),
        )

    def render_page(self, name: str, **context: Any) -> str:
        """Fill a template."""
        template = self.desk.templates.get_template(name)
        return template.render(
            _=self.language_texts.say,
            lang=self.language_texts.language,
            base=self.desk.base,
            static=self.static_path,
            xsrf=self.xsrf_token.decode() if self.current_user else "",
            version=__version__,
            **context,
        )

    def static_path(self, path: str) -> str:
        """Versioned URL of a static file."""
        return str(self.static_url(path))

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Refusals are news for their reader, not for the log."""
        if not isinstance(value, FreepoolError):
            super().log_exception(kind, value, trace)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what happened and what to do next, as JSON or as a page."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        code, message, following, details = "error", HTTPStatus(status_code).phrase, "", ""
        if isinstance(error, FreepoolError):
            status_code = error.status if isinstance(error, Refusal) else 503
            code = error.code if isinstance(error, Refusal) else "unavailable"
            texts = getattr(self, "language_texts", self.desk.texts["en"])
            message = texts.say(error.template, **error.params)
            following = texts.say(error.next_template, **error.params) if error.next_template else ""
            details = error.details
            self.set_status(status_code)
        elif status_code in (502, 503, 504) or (status_code == 500 and "Hub" in str(error)):
            message, following = (
                "The hub does not answer just now. What runs goes on running.",
                "Try again in a few seconds.",
            )
            self.set_status(503)
        if self.wants_json:
            self.set_header("Content-Type", "application/json")
            self.finish(
                json.dumps({"error": {"code": code, "message": message, "next": following, "details": details}})
            )
            return
        texts = getattr(self, "language_texts", self.desk.texts["en"])
        self.language_texts, self.current_user = texts, None
        title = texts.say("There is nothing here") if status_code == 404 else texts.say("That did not work")
        said = " ".join(part for part in (texts.say(message), texts.say(following) if following else "") if part)
        if status_code == 404:
            said = texts.say("Check the address, or go on from the desk.")
        self.finish(
            self.render_page(
                "message.html",
                title=title,
                text=said,
                action_url=self.desk.base,
                action_label=texts.say("Go to the desk"),
            )
        )


class PageHandler(Handler):
    """GET /: the desk itself."""

    async def get(self) -> None:
        """The page, complete with its first state."""
        state = (await self.state()).model_dump(mode="json")
        strings = {name: self.say(text) for name, text in JS_STRINGS.items()}
        self.finish(self.render_page("desk.html", state=state, strings=strings))


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
        self.redirect(self.desk.base, status=303)


class JsonHandler(Handler):
    """Base of the API."""

    wants_json = True

    def answer(self, state: BaseModel, status: int = 200) -> None:
        """Write a state."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(state.model_dump_json())


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
        await asyncio.sleep(self.desk.changes.listeners * BREATH_SECONDS)
        await self.desk.changes.next(seconds=KEEPALIVE_SECONDS, after=known)


class WishHandler(JsonHandler):
    """Base of what may lead to an instance."""

    def wish(self) -> Wish:
        """What the request asks for."""
        body = parse(StartRequest, self.request.body)
        choice = choose(self.desk.catalog, body.model_dump())
        why_not = self.desk.backend.why_not(choice.flavor, choice.image)
        if why_not is not None:  # the hub would refuse it too, but knows the reader's language not
            why = why_not[self.language_texts.language.startswith("zh")]
            raise NotOffered("{why}", next_step="Choose another shape or image.", why=why)
        return Wish(self.user_name, "", choice, groups=tuple((self.current_user or {}).get("groups", ())))

    async def live(self) -> Instance | None:
        """The instance of the default server that starts or runs."""
        latest = await self.desk.ledger.aread(instances.latest, self.user_name, "")
        return latest if latest is not None and latest.state in LIVE else None

    async def begin(self, options: dict[str, str]) -> None:
        """Ask the hub; what takes longer than `PATIENCE` is seen in the live state."""
        start = asyncio.create_task(self.desk.hub.start(self.user_name, self.hub_auth.get_token(self), options))
        self.desk.starts.add(start)
        start.add_done_callback(self._started)
        done, _ = await asyncio.wait([start], timeout=PATIENCE)
        if done:
            self.accept(start)
        state = await self.state()
        is_running = state.instance is not None and state.instance.state == "running"
        self.answer(state, 201 if is_running else 202)

    @staticmethod
    def accept(start: asyncio.Task[None]) -> None:
        """Raise what the hub refused, except that somebody now stands in line: the state says so."""
        try:
            start.result()
        except HubSaid as said:
            if said.code != Queued.code:
                raise

    def _started(self, start: asyncio.Task[None]) -> None:
        self.desk.starts.discard(start)
        if not start.cancelled() and start.exception() is not None:
            log.info("a start of %s ended: %s", self.user_name, start.exception())


class StartHandler(WishHandler):
    """POST /api/instance"""

    async def post(self) -> None:
        """Start, and answer 201 when it runs, or 202 while it is on its way or stands in line."""
        wish = self.wish()
        if await self.live() is not None:
            raise HubSaid(
                409,
                "Your instance is already starting, running or stopping.",
                code="busy",
                next_step="Wait a moment, and look again.",
            )
        ticket = await self.desk.ledger.awrite(self.desk.admission.ask, wish, is_here=True)
        if ticket.state is TicketState.WAITING:
            self.answer(await self.state(patience=CROWD), 202)
        else:
            await self.begin(wish.choice.to_options())


class TicketHandler(WishHandler):
    """GET and POST /api/ticket"""

    async def get(self) -> None:
        """Where the user stands in line."""
        self.set_header("Content-Type", "application/json")
        self.finish((await self.state()).model_dump_json(include={"ticket"}))

    async def post(self) -> None:
        """Stand in line for another shape while an instance runs: it is held when it is the user's turn."""
        wish = self.wish()
        await self.desk.ledger.awrite(self.desk.admission.ask, wish, is_here=True)
        self.answer(await self.state(), 202)


class StopHandler(WishHandler):
    """POST /api/instance/stop"""

    async def post(self) -> None:
        """Stop what runs or starts, or else leave the line; stopping what is stopped is fine."""
        parse(Nothing, self.request.body)
        if await self.live() is None:
            await self.desk.ledger.awrite(self.leave_line, has_waited=False)
        await self.stop_instance()
        self.answer(await self.state())

    def leave_line(self, connection: Connection, *, has_waited: bool) -> bool:
        """Give up places in line, and what was held for them; all, or only those that `has_waited`.

        True where a start has begun for one of them: the caller stops it.
        """
        has_begun = False
        for ticket in tickets.alive(connection, self.user_name):
            if ticket.server_name or (has_waited and ticket.called_at == ticket.joined_at):
                continue
            if ticket.instance_id is None:
                self.desk.admission.release(connection, ticket.id, TicketState.CANCELLED)
            else:
                has_begun = True
        return has_begun

    async def stop_instance(self) -> None:
        """Ask the hub, then wait a while for the ledger to say that it is over."""
        await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_SECONDS
        while (left := deadline - loop.time()) > 0:
            current = await self.desk.ledger.aread(instances.latest, self.user_name, "")
            if current is None or current.state is InstanceState.ENDED:
                return
            await self.desk.changes.next(seconds=min(left, 1))


class CancelTicketHandler(StopHandler):
    """POST /api/ticket/cancel"""

    async def post(self) -> None:
        """Leave the line, whatever its state; an instance that its ticket has begun is stopped."""
        parse(Nothing, self.request.body)
        if await self.desk.ledger.awrite(self.leave_line, has_waited=True):
            await self.stop_instance()
        self.answer(await self.state())


class TakeTicketHandler(StopHandler):
    """POST /api/ticket/take"""

    async def post(self) -> None:
        """End what runs, which wipes it, and start what is held for the user."""
        parse(Nothing, self.request.body)
        mine = await self.desk.ledger.aread(tickets.alive, self.user_name)
        called = [one for one in mine if one.state is TicketState.CALLED and one.server_name == ""]
        if not called:
            raise HubSaid(409, "Nothing is held for you.", code="not_called", next_step="Wait until it is your turn.")
        ticket = called[0]
        if ticket.instance_id is None:
            await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
            options = {"flavor": ticket.flavor, "image": ticket.image}
            await self.begin(options | ({"example": ticket.example} if ticket.example else {}))
        else:
            self.answer(await self.state(), 202)


class RestartHandler(StopHandler):
    """POST /api/instance/restart"""

    async def post(self) -> None:
        """A restart is a stop, which wipes, and a start of the same kind: never the same slot again."""
        parse(Nothing, self.request.body)
        before = await self.live()
        if before is None:
            raise HubSaid(
                409,
                "Nothing runs that could be restarted.",
                code="not_running",
                next_step="Start an instance.",
            )
        # Its place is taken before it is given up: to restart must not mean to find the pool full.
        ticket = await self.desk.ledger.awrite(self.desk.admission.take_over, before)
        try:
            await self.desk.hub.stop(self.user_name, self.hub_auth.get_token(self))
        except FreepoolError:
            await self.desk.ledger.awrite(self.desk.admission.release, ticket.id, TicketState.CANCELLED)
            raise
        await self.begin({"flavor": before.flavor, "image": before.image})


class OpenApiHandler(JsonHandler):
    """GET /api/openapi.json"""

    needs_user = False

    def get(self) -> None:
        """The API, described."""
        self.finish(openapi(self.desk.base))


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

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002
        """Modules import each other without a version: the browser asks whether they have changed."""
        self.set_header("X-Content-Type-Options", "nosniff")
        if not self.get_argument("v", None):
            self.set_header("Cache-Control", "no-cache")


class NothingHereHandler(Handler):
    """Everything else."""

    needs_user = False

    async def prepare(self) -> None:
        """404 in the form that the asker reads."""
        self.wants_json = bool(re.match(re.escape(self.desk.base) + "api/", self.request.path))
        await super().prepare()
        raise HTTPError(404)


class CallbackHandler(HubOAuthCallbackHandler):
    """GET /oauth_callback: the end of signing in."""

    def initialize(self, desk: Desk) -> None:  # noqa: ARG002  (the others' signature)
        """Use our HubOAuth, not one made from environment variables."""
        self.hub_auth = self.settings["hub_auth"]
