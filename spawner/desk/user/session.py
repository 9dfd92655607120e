"""One running instance's session: for its user's browser, and for the notebook server with its own token.

A notebook's token reads and changes the session of its own server only. It cannot stop, start or restart anything.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy import Connection
from tornado.iostream import StreamClosedError

from spawner.desk.http import JsonHandler
from spawner.desk.i18n import LANGUAGES
from spawner.desk.requests import parse
from spawner.desk.user import end
from spawner.desk.user.http import UserHandler
from spawner.desk.user.session_state import Links, SessionRows, allowance_view, describe_session, read_session
from spawner.desk.user.session_views import (
    AllowancesView,
    AnswerRequest,
    ExtendRequest,
    SeenRequest,
    SessionView,
)
from spawner.errors import BadOption, Banned, LostRace, NotAllowed, NotRunning
from spawner.ledger import Instance
from spawner.ledger.pool import instances
from spawner.ledger.pool.rows import LIVE
from spawner.ledger.time import notices
from spawner.pool.build import utc_now

RIGHTS = ("servers", "start:servers")
"""Scopes of JupyterHub's, any of which a user's own token needs to change a session."""
SEND_SECONDS = 10.0
"""A stream sends at least so often. A reader may take one that is silent for twice as long for broken."""
FRESH_SECONDS = 300.0
"""How old what a stream sends again may be: the hours of a week come back without a change of the session."""
TRIES = 3
"""An extension is tried again where its end was moved meanwhile."""


class InstanceHandler(UserHandler, JsonHandler):
    """Base: the instance that a notebook's token belongs to; of a user's own token or browser, their default server."""

    takes_instance_token = True

    async def prepare(self) -> None:
        """As usual; `?language=` chooses the language. A user's own token needs a right over servers for changes."""
        await super().prepare()
        language = self.get_query_argument("language", "")
        if language in LANGUAGES:
            self.language_texts = self.desk.texts[language]
        if self.request.method == "POST" and self.instance_server is None and self.current_user and not self._finished:
            name = self.current_user["name"]
            if not self.hub_auth.check_scopes({f"{scope}!user={name}" for scope in RIGHTS}, self.current_user):
                raise NotAllowed(
                    "This token may not start or stop notebooks.", next_step="Use a token with the scope servers."
                )

    def find(self, connection: Connection) -> Instance:
        """The instance. Raises `NotRunning` where it is over."""
        instance = instances.latest(connection, self.person_id, self.instance_server or "")
        if instance is None or instance.state not in LIVE:
            raise NotRunning("No notebook is running.", next_step="Start one first.")
        return instance

    def read_session(self, connection: Connection) -> SessionRows:
        """Its session."""
        instance = self.find(connection)
        return read_session(connection, self.parts.extensions, instance, self.language_texts.language)

    def describe_session(self, rows: SessionRows, now: datetime | None = None) -> SessionView:
        """In the language of the request."""
        desk, instance = self.desk, rows.instance
        links = Links(
            desk=end.desk_url(desk),
            end=end.end_url(desk, instance.id),
            restart=end.restart_url(desk, instance),
        )
        return describe_session(rows, desk.catalog, self.language_texts, now or utc_now(), links)


class SessionHandler(InstanceHandler):
    """GET /api/session"""

    async def get(self) -> None:
        """The session."""
        self.answer(self.describe_session(await self.desk.ledger.aread(self.read_session)))


class SessionEventsHandler(InstanceHandler):
    """GET /api/session/events: server-sent events, each the whole session"""

    is_closed = False

    def on_connection_close(self) -> None:
        """The client has closed the connection."""
        self.is_closed = True

    async def get(self) -> None:
        """Send the session now, after each change, and every `SEND_SECONDS`, until it is over."""
        instance_id = (await self.desk.ledger.aread(self.find)).id
        changes = self.parts.session_changes
        with self.streams.place(self.person_id), changes.listening(instance_id):
            self.set_header("Content-Type", "text/event-stream")
            self.set_header("X-Accel-Buffering", "no")
            while not self.is_closed:
                waiter = changes.waiter(instance_id)
                try:
                    await self.refuse_banned()
                    rows = await self.desk.ledger.aread(self.read_session)
                    if rows.instance.id != instance_id or not await self.send_until(waiter, rows):
                        return
                except (Banned, NotRunning):  # the client asks again, and reads why
                    return
                finally:
                    changes.forget(instance_id, waiter)

    async def send_until(self, change: asyncio.Future[None], rows: SessionRows) -> bool:
        """Send the session again and again until it has changed, or `FRESH_SECONDS`. False where the client is gone."""
        for _ in range(round(FRESH_SECONDS / SEND_SECONDS)):
            self.write(f"data: {self.describe_session(rows).model_dump_json()}\n\n")
            try:
                await self.flush()
            except StreamClosedError:
                return False
            if await self.parts.session_changes.wait(change, seconds=SEND_SECONDS):
                return True
        return True


class ExtendHandler(InstanceHandler):
    """POST /api/session/extend"""

    async def post(self) -> None:
        """Extend the session, and answer with it."""
        request = parse(ExtendRequest, self.request.body)
        for left in range(TRIES - 1, -1, -1):
            try:
                rows = await self.desk.ledger.awrite(self.extend, request.number)
                break
            except LostRace:
                if not left:
                    raise
        self.answer(self.describe_session(rows))

    def extend(self, connection: Connection, number: int | None) -> SessionRows:
        """In one transaction. Raises `CannotExtend`."""
        extended = self.parts.extensions.extend(connection, self.find(connection).id, number=number)
        return read_session(connection, self.parts.extensions, extended, self.language_texts.language)


class NoticesHandler(InstanceHandler):
    """POST /api/session/notices"""

    async def post(self) -> None:
        """Note which notices a page shows, and answer with the session."""
        request = parse(SeenRequest, self.request.body)

        def write(connection: Connection) -> SessionRows:
            instance = self.find(connection)
            notices.mark_seen(connection, request.seen, request.where, utc_now(), instance_id=instance.id)
            return self.read_session(connection)

        self.answer(self.describe_session(await self.desk.ledger.awrite(write)))


class AnswerHandler(InstanceHandler):
    """POST /api/session/answer"""

    async def post(self) -> None:
        """Write the user's answer to a notice; the first one stays."""
        request = parse(AnswerRequest, self.request.body)

        def write(connection: Connection) -> SessionRows:
            instance = self.find(connection)
            if all(one.id != request.id for one in notices.of_instance(connection, instance.id)):
                raise BadOption("This notice does not exist.", next_step="Read the session again.")
            notices.answer(connection, request.id, request.given, utc_now(), instance_id=instance.id)
            return self.read_session(connection)

        self.answer(self.describe_session(await self.desk.ledger.awrite(write)))


class AllowanceHandler(InstanceHandler):
    """GET /api/allowance"""

    async def get(self) -> None:
        """The user's hours of this week, class by class."""
        metering, language = self.parts.extensions.metering, self.language_texts.language
        states = await self.desk.ledger.aread(metering.states, self.person_id, utc_now(), language)
        self.answer(AllowancesView(classes=[allowance_view(one) for one in states]))
