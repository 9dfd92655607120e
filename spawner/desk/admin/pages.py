"""The administrator's page and API."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pydantic import BaseModel

from spawner.desk.admin.commands import AdminCommand, parse_command
from spawner.desk.admin.state import AdminStateBuilder, read_admin
from spawner.desk.admin.strings import ADMIN_PLURALS, ADMIN_STRINGS
from spawner.desk.admin.views import AdminState
from spawner.desk.common import StreamHandler
from spawner.desk.context import Desk
from spawner.desk.http import Handler, JsonHandler
from spawner.desk.views import UserView
from spawner.errors import NotAllowed
from spawner.pool.build import utc_now

log = logging.getLogger("freepool.desk")
PAUSE_SECONDS = 2.0
"""Minimum interval between two states of one open page. A busy pool changes many times a second, and each state of
this page is computed from the rows of a whole day."""


def is_admin(hub_auth: Any, user: dict[str, Any]) -> bool:
    """Whether the user is an administrator, and the token has the scopes of the desk's own sign-in.

    JupyterHub's model of a user does not depend on the token's scopes. Without the second check, a token of an
    administrator that may only read metrics could close the platform for maintenance.
    """
    return bool(user.get("admin")) and bool(hub_auth.check_scopes({f"servers!user={user['name']}"}, user))


class AdminHandler(Handler):
    """Base of everything that only administrators may see."""

    async def prepare(self) -> None:
        """Raises `NotAllowed` for every other user, and for a browser where a notebook could use the page."""
        await super().prepare()
        if self.current_user is not None and not is_admin(self.hub_auth, self.current_user):
            raise NotAllowed(
                "This page is for administrators.",
                next_step="Ask an administrator for access.",
            )
        self.require_guarded_pages(
            NotAllowed(
                (
                    "This page is turned off: notebooks share this site's address, so a page in one could use it in "
                    "your name."
                ),
                next_step=(
                    "Administrators: give notebooks their own host names, or set trust_notebooks (see "
                    "docs/security.md)."
                ),
            )
        )

    async def admin_state(self) -> AdminState:
        """The page's state, read now."""
        desk, now = self.desk, utc_now()
        hub = desk.settings.hubs.name
        snapshot = await desk.ledger.aread(read_admin, limits=desk.catalog.limits, now=now, days=desk.days, hub=hub)
        return AdminStateBuilder(snapshot, desk.catalog, desk.backend, self.language_texts, now).state(
            UserView(name=self.user_name, admin=True)
        )


class AdminPageHandler(AdminHandler):
    """GET /admin"""

    async def get(self) -> None:
        """The page with its first state."""
        state = (await self.admin_state()).model_dump(mode="json")
        strings: dict[str, object] = {name: self.say(text) for name, text in ADMIN_STRINGS.items()}
        strings |= {name: self.language_texts.forms(text) for name, text in ADMIN_PLURALS.items()}
        self.finish(self.render_page("admin/admin.html", state=state, strings=strings))


class OldPageHandler(Handler):
    """The administrators' pages by their URLs of version 0.1: `/operator…`. To be removed in the next release."""

    needs_user = False

    def get(self, rest: str) -> None:
        """Redirect to the page's URL of today. A form's POST is sent there again, with its body (308)."""
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(f"{self.desk.base}admin{rest}{query}", status=308)

    post = get


class AdminStateHandler(AdminHandler, JsonHandler):
    """GET /api/admin"""

    async def get(self) -> None:
        """The whole state."""
        self.answer(await self.admin_state())


class AdminEventsHandler(AdminHandler, StreamHandler):
    """GET /api/admin/events"""

    async def current_state(self) -> BaseModel:
        """The page's state."""
        return await self.admin_state()

    async def next_change(self, after: int) -> None:
        """Wait for a change, but at least `PAUSE_SECONDS`."""
        await asyncio.sleep(PAUSE_SECONDS)
        await super().next_change(after)


class AdminCommandHandler(AdminHandler, JsonHandler):
    """POST /api/admin/COMMAND"""

    def initialize(self, desk: Desk, path: str, command: AdminCommand) -> None:
        """`path` is the command's key in `COMMANDS`."""
        super().initialize(desk)
        self.path, self.command = path, command

    async def post(self) -> None:
        """Apply the command. Answers with the state after it."""
        request = parse_command(self.command.model, self.request.body)
        await self.desk.ledger.awrite(self.command.apply, self.desk.catalog, request, now=utc_now(), by=self.user_name)
        log.info("administrator %s: %s %s", self.user_name, self.path, request.model_dump_json())
        self.answer(await self.admin_state())
