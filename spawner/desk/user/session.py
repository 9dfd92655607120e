"""What is known about one running instance: all that the desk tells a notebook server with its own token."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from spawner.desk.http import JsonHandler
from spawner.desk.user import end
from spawner.desk.user.http import UserHandler
from spawner.errors import NotRunning
from spawner.ledger.pool import instances
from spawner.ledger.pool.rows import LIVE
from spawner.pool.build import utc_now


class SessionView(BaseModel):
    """A running instance. `server` is empty for the default server; `ends_at` is its deadline.

    `end_url` says why it has ended, without a sign-in; `restart_url` is the home page with the same choices."""

    id: str
    user: str
    server: str
    state: Literal["starting", "running"]
    flavor: str
    image: str
    usable_at: datetime | None
    ends_at: datetime | None
    now: datetime
    desk_url: str
    end_url: str
    restart_url: str


class SessionHandler(UserHandler, JsonHandler):
    """GET /api/session"""

    takes_instance_token = True

    async def get(self) -> None:
        """The instance that the token belongs to; of a user's own token or browser, their default server."""
        server = self.instance_server or ""
        instance = await self.desk.ledger.aread(instances.latest, self.person_id, server)
        if instance is None or instance.state not in LIVE:
            raise NotRunning("No notebook is running.", next_step="Start one first.")
        self.answer(
            SessionView(
                id=instance.id,
                user=instance.user_name,
                server=instance.server_name,
                state=instance.state.value,
                flavor=instance.flavor,
                image=instance.image,
                usable_at=instance.usable_at,
                ends_at=instance.ends_at,
                now=utc_now(),
                desk_url=end.desk_url(self.desk),
                end_url=end.end_url(self.desk, instance.id),
                restart_url=end.restart_url(self.desk, instance),
            )
        )
