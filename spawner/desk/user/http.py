"""Base of the handlers that show the user their own state."""

from __future__ import annotations

from spawner.desk.context import Desk
from spawner.desk.http import Handler
from spawner.desk.paid.state import read_paid_view
from spawner.desk.user.context import UserParts
from spawner.desk.user.snapshot import UserSnapshot
from spawner.desk.user.state import State, build_state
from spawner.ledger.people.bans import refusal_of
from spawner.pool.build import utc_now


class UserHandler(Handler):
    """Base of the user's page and API."""

    parts: UserParts

    def initialize(self, desk: Desk, parts: UserParts) -> None:
        """Called by Tornado with the keyword arguments of the route."""
        super().initialize(desk)
        self.parts = parts

    async def state(self) -> State:
        """The user's state, read now."""
        return await self.describe(await self.desk.ledger.aread(self.parts.snapshots.read, self.person_id))

    async def describe(self, snapshot: UserSnapshot) -> State:
        """A snapshot of the pool in the user's language, with their paid instances. Raises `Banned`."""
        if snapshot.ban is not None:
            raise refusal_of(snapshot.ban)
        desk, parts, paid = self.desk, self.parts.paid, None
        if parts is not None:
            paid = await read_paid_view(desk, parts.paid, self.person_id, self.language_texts)
        return build_state(
            snapshot,
            user_name=self.user_name,
            admin=self.is_admin,
            catalog=desk.catalog,
            backend=desk.backend,
            texts=self.language_texts,
            base=desk.base,
            now=utc_now(),
            paid=paid,
            guards_pages=desk.settings.guards_pages,
        )
