"""The operator's page, its API, and the metrics: for JupyterHub's administrators, and for who may read metrics."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from spawner.desk.admin.commands import COMMANDS, parse_command
from spawner.desk.admin.metrics import exposition
from spawner.desk.admin.state import AdminStateBuilder, read_admin
from spawner.desk.admin.strings import ADMIN_STRINGS
from spawner.desk.admin.views import AdminState
from spawner.desk.http import Handler, JsonHandler
from spawner.desk.paid.metrics import paid_exposition
from spawner.desk.user.pages import EventsHandler
from spawner.desk.user.state import UserView
from spawner.errors import NotAllowed
from spawner.pool.build import utc_now

log = logging.getLogger("freepool.desk")
PAUSE_SECONDS = 2.0
"""Between two looks for an open page. A busy pool changes many times a second, and this page reads a whole day."""
METRICS_SCOPE = "read:metrics"


def is_admin(hub_auth: Any, user: dict[str, Any]) -> bool:
    """Whether this is an administrator, with a token that was made to act for them.

    JupyterHub tells whose token it is whatever the token's scopes are. One that may read metrics and nothing else must
    not close the platform because an administrator has made it; so it takes what the desk's own sign-in brings.
    """
    return bool(user.get("admin")) and bool(hub_auth.check_scopes({f"servers!user={user['name']}"}, user))


class AdminHandler(Handler):
    """Base of all that only administrators may see."""

    async def prepare(self) -> None:
        """Refuse everybody else, in words."""
        await super().prepare()
        if self.current_user is not None and not is_admin(self.hub_auth, self.current_user):
            raise NotAllowed(
                "This page is for administrators.",
                next_step="Ask one of them to make you one, in JupyterHub's administration.",
            )

    async def operator_state(self) -> AdminState:
        """The page as it is now."""
        desk, now = self.desk, utc_now()
        snapshot = await desk.ledger.aread(read_admin, limits=desk.catalog.limits, now=now)
        return AdminStateBuilder(snapshot, desk.catalog, desk.backend, self.language_texts, now).state(
            UserView(name=self.user_name, admin=True)
        )


class AdminPageHandler(AdminHandler):
    """GET /operator"""

    async def get(self) -> None:
        """The page, complete with its first state."""
        state = (await self.operator_state()).model_dump(mode="json")
        strings = {name: self.say(text) for name, text in ADMIN_STRINGS.items()}
        self.finish(self.render_page("operator.html", state=state, strings=strings))


class AdminStateHandler(AdminHandler, JsonHandler):
    """GET /api/operator"""

    async def get(self) -> None:
        """Everything."""
        self.answer(await self.operator_state())


class AdminEventsHandler(AdminHandler, EventsHandler):
    """GET /api/operator/events: server-sent events, each a whole state."""

    async def shown(self) -> BaseModel:
        """What is sent."""
        return await self.operator_state()

    async def next_change(self, known: int) -> None:
        """Not more often than somebody can read it."""
        await asyncio.sleep(PAUSE_SECONDS)
        await super().next_change(known)


class AdminCommandHandler(AdminHandler, JsonHandler):
    """POST /api/operator/WHAT"""

    async def post(self, what: str) -> None:
        """Make one change, and show what has become of it."""
        kind = COMMANDS[what]
        change = parse_command(kind.model, self.request.body)
        await self.desk.ledger.awrite(kind.apply, self.desk.catalog, change, now=utc_now(), by=self.user_name)
        log.info("operator %s: %s %s", self.user_name, what, change.model_dump_json())
        self.answer(await self.operator_state())


class MetricsHandler(Handler):
    """GET /metrics, for administrators and for tokens with JupyterHub's own scope for metrics."""

    wants_json = True  # errors only

    async def identify(self) -> Any:
        """A service may read, too."""
        user = await self.hub_auth.get_user(self, sync=False)
        return self.check_hub_user(user) if user else None

    async def get(self) -> None:
        """Read the ledger now, off the event loop."""
        assert self.current_user is not None  # `prepare` has seen to it
        user = self.current_user
        if METRICS_SCOPE not in user["scopes"] and not is_admin(self.hub_auth, user):
            raise NotAllowed(
                "This token may not read metrics.",
                next_step="Give it a role with the scopes read:metrics and access:services!service=desk.",
            )
        text = await self.desk.ledger.aread(exposition, self.desk.catalog, self.desk.backend, now=utc_now())
        if self.desk.paid is not None:
            text += await self.desk.ledger.aread(paid_exposition, now=utc_now(), reaches=self.desk.paid.reaches)
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(text)
