"""Base of the handlers that show the user their own state."""

from __future__ import annotations

from datetime import datetime

from spawner.desk.context import Desk
from spawner.desk.http import Handler
from spawner.desk.paid.state import read_paid_view
from spawner.desk.user.allowance_view import read_allowances
from spawner.desk.user.class_view import ClassView, view_of_class
from spawner.desk.user.context import UserParts
from spawner.desk.user.example_view import missing_models
from spawner.desk.user.save_views import KeepSummary
from spawner.desk.user.session_state import describe_part, read_session
from spawner.desk.user.snapshot import UserSnapshot
from spawner.desk.user.state import build_state
from spawner.desk.user.views import State
from spawner.ledger import InstanceState
from spawner.ledger.bundles import bundles, choices
from spawner.ledger.bundles.rows import BundleState
from spawner.ledger.people import people, trust
from spawner.ledger.people.bans import refusal_of
from spawner.people_settings import ClassLimits
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
        now = utc_now()
        standing, limits = await self._class(now)
        hours = await desk.ledger.aread(read_allowances, desk.catalog, self.person_id, snapshot.last, now)
        state = build_state(
            snapshot,
            user_name=self.user_name,
            admin=self.is_admin,
            catalog=desk.catalog,
            backend=desk.backend,
            texts=self.language_texts,
            base=desk.base,
            now=now,
            paid=paid,
            guards_pages=desk.settings.guards_pages,
            standing=standing,
            limits=limits,
            hours=hours,
            missing=missing_models(desk.catalog, desk.settings),
        )
        state = state.model_copy(update={"keep": await self._keep_summary(now)})
        return await self._with_session(state, snapshot, now)

    async def _keep_summary(self, now: datetime) -> KeepSummary | None:
        """Whether the user wants files kept, and of how many notebooks they are; None where the catalog keeps none."""
        if not self.desk.catalog.keep.enabled:
            return None
        own = await self.desk.ledger.aread(bundles.of_person, self.person_id)
        kept = [one for one in own if one.state is BundleState.KEPT and one.expires_at > now]
        chosen = await self.desk.ledger.aread(choices.is_chosen, self.person_id)
        return KeepSummary(chosen=chosen, kept=len(kept))

    async def _with_session(self, state: State, snapshot: UserSnapshot, now: datetime) -> State:
        """The state with the notices of a running instance."""
        instance, desk = snapshot.current, self.desk
        if instance is None or state.instance is None or instance.state is not InstanceState.RUNNING:
            return state
        language = self.language_texts.language
        rows = await desk.ledger.aread(read_session, self.parts.extensions, instance, language)
        part = describe_part(rows, desk.catalog, self.language_texts, now)
        return state.model_copy(update={"instance": state.instance.model_copy(update={"session": part})})

    async def _class(self, now: datetime) -> tuple[ClassView | None, ClassLimits | None]:
        """The user's class and its limits, where classes make a difference. An open page learns of changes."""
        desk, rules = self.desk, self.desk.settings.people
        if not rules.shows_classes:
            return None, None
        person = await desk.ledger.aread(people.find, self.person_id)
        limits = trust.limits_of(person, now, rules)
        if person is None:
            return None, limits
        at_most = desk.catalog.limits.instances_per_user
        standing = trust.standing_of(person, now, rules)
        view = view_of_class(standing, limits, at_most=at_most, texts=self.language_texts, when=self.time_text)
        return view, limits
