"""Base of the handlers that show the user their own state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from spawner.desk.context import Desk
from spawner.desk.http import Handler
from spawner.desk.paid.state import read_paid_view
from spawner.desk.paid.views import PaidView
from spawner.desk.user.allowance_view import AllowanceSnapshot, read_allowances
from spawner.desk.user.class_view import ClassView, view_of_class
from spawner.desk.user.context import UserParts
from spawner.desk.user.example_view import missing_models
from spawner.desk.user.save_views import KeepSummary
from spawner.desk.user.session_state import SessionRows, describe_part, read_session
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


@dataclass(frozen=True)
class OwnRows:
    """The rows behind a user's state."""

    snapshot: UserSnapshot
    paid: PaidView | None
    standing: ClassView | None
    limits: ClassLimits | None
    hours: AllowanceSnapshot
    keep: KeepSummary | None
    session: SessionRows | None


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
        return self.compose(await self.read_own(snapshot))

    async def read_own(self, snapshot: UserSnapshot) -> OwnRows:
        """What the state needs besides the snapshot. Raises `Banned`."""
        if snapshot.ban is not None:
            raise refusal_of(snapshot.ban)
        desk, parts, paid = self.desk, self.parts.paid, None
        if parts is not None:
            paid = await read_paid_view(desk, parts.paid, self.person_id, self.language_texts)
        own = await desk.ledger.aread(self._read_own, snapshot, utc_now())
        return replace(own, paid=paid)

    def _read_own(self, connection: Connection, snapshot: UserSnapshot, now: datetime) -> OwnRows:
        """All in one transaction: each costs a thread's turn, and thousands of pages are open."""
        standing, limits = self._class(connection, now)
        return OwnRows(
            snapshot=snapshot,
            paid=None,
            standing=standing,
            limits=limits,
            hours=read_allowances(connection, self.desk.catalog, self.person_id, snapshot.last, now),
            keep=self._keep_summary(connection, now),
            session=self._session(connection, snapshot),
        )

    def compose(self, own: OwnRows) -> State:
        """The state from rows, without reading any."""
        desk, snapshot, now = self.desk, own.snapshot, utc_now()
        state = build_state(
            snapshot,
            user_name=self.user_name,
            admin=self.is_admin,
            catalog=desk.catalog,
            backend=desk.backend,
            texts=self.language_texts,
            base=desk.base,
            now=now,
            paid=own.paid,
            guards_pages=desk.settings.guards_pages,
            standing=own.standing,
            limits=own.limits,
            hours=own.hours,
            missing=missing_models(desk.catalog, desk.settings),
        )
        state = state.model_copy(update={"keep": own.keep})
        if own.session is None or state.instance is None:
            return state
        part = describe_part(own.session, desk.catalog, self.language_texts, now)
        return state.model_copy(update={"instance": state.instance.model_copy(update={"session": part})})

    def _keep_summary(self, connection: Connection, now: datetime) -> KeepSummary | None:
        """Whether the user wants files kept, and of how many notebooks they are; None where the catalog keeps none."""
        if not self.desk.catalog.keep.enabled:
            return None
        own = bundles.of_person(connection, self.person_id)
        kept = [one for one in own if one.state is BundleState.KEPT and one.expires_at > now]
        return KeepSummary(chosen=choices.is_chosen(connection, self.person_id), kept=len(kept))

    def _session(self, connection: Connection, snapshot: UserSnapshot) -> SessionRows | None:
        """The session of a running instance, with its notices."""
        instance = snapshot.current
        if instance is None or instance.state is not InstanceState.RUNNING:
            return None
        return read_session(connection, self.parts.extensions, instance, self.language_texts.language)

    def _class(self, connection: Connection, now: datetime) -> tuple[ClassView | None, ClassLimits | None]:
        """The user's class and its limits, where classes make a difference. An open page learns of changes."""
        desk, rules = self.desk, self.desk.settings.people
        if not rules.shows_classes:
            return None, None
        person = people.find(connection, self.person_id)
        limits = trust.limits_of(person, now, rules)
        if person is None:
            return None, limits
        at_most = desk.catalog.limits.instances_per_user
        standing = trust.standing_of(person, now, rules)
        view = view_of_class(standing, limits, at_most=at_most, texts=self.language_texts, when=self.time_text)
        return view, limits
