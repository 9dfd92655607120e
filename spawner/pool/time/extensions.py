"""Moves the end of a session: by the user's click, and by grace for a cell that still runs.

Each is one transaction that checks and writes. Two clicks of two tabs ask for the same extension, so the second one
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.errors import (
    CannotExtend,
    ExtensionsUsed,
    MaintenanceAhead,
    NoHoursToExtend,
    NotExtendable,
    NotRunning,
    OthersWait,
)
from spawner.ledger.people import people, trust
from spawner.ledger.pool import admin_settings, instances, tickets
from spawner.ledger.pool.rows import Instance, InstanceState, TicketState
from spawner.ledger.time import extensions, notices
from spawner.ledger.time.rows import Answer, Extension, ExtensionKind, NoticeKind, SessionNotice
from spawner.people_settings import PeopleSettings
from spawner.pool.admin.settings import AdminSettings
from spawner.pool.policies import rights_in
from spawner.pool.time.metering import Metering
from spawner.pool.time.notices import OF_AN_END, mark_of

ONE_CLICK = timedelta(seconds=10)
"""Requests without a number within this time are one: clicks in two tabs, or a double click."""


@dataclass(frozen=True)
class Extensible:
    """Whether a session can be extended now. `number`: of the next extension, from 1; `left`: how many there are."""

    seconds: int
    left: int
    number: int
    refusal: CannotExtend | NotRunning | None = None


@dataclass(frozen=True)
class Extensions:
    """Extensions of one pool. Tests pass their own `now` and `new_id`."""

    catalog: Catalog
    people: PeopleSettings
    metering: Metering
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def look(self, connection: Connection, instance: Instance) -> Extensible:
        """Whether the session can be extended now, and why not."""
        given = _clicks(connection, instance.id)
        left = max(0, self.catalog.sessions.extensions - len(given))
        return Extensible(self._seconds, left, len(given) + 1, self._refusal(connection, instance, left))

    def extend(self, connection: Connection, instance_id: str, *, number: int | None = None) -> Instance:
        """Move the end, and return the instance as it then is.

        `number`: which extension of the session this is, from 1; one that was given already changes nothing. Raises
        `CannotExtend`, `NotRunning`, and `LostRace` where the end has just changed: then try again.
        """
        now, instance = self.now(), instances.get(connection, instance_id)
        given = _clicks(connection, instance_id)
        is_done = bool(given) and now - given[-1].at <= ONE_CLICK if number is None else number <= len(given)
        if is_done and instance.state is InstanceState.RUNNING:
            return instance
        refusal = self._refusal(connection, instance, self.catalog.sessions.extensions - len(given))
        if refusal is not None:
            raise refusal
        assert instance.ends_at is not None
        self._put(connection, instance, ExtensionKind.CLICK, self._seconds)
        if not self.metering.extend_hold(connection, instance, self._seconds, now):
            raise _no_hours()
        notices.answer_all(connection, instance_id, OF_AN_END, Answer.EXTENDED, now)
        ends_at = instance.ends_at + timedelta(seconds=self._seconds)
        instances.move_end(connection, instance_id, expected=instance.ends_at, ends_at=ends_at)
        return instances.get(connection, instance_id)

    def give_grace(self, connection: Connection, instance_id: str, *, expected: datetime) -> SessionNotice | None:
        """Move the end once, so that a running cell can finish. Takes the time from the hours of the next week.

        Returns the notice; None where the session had grace, or somebody waits now. Raises `LostRace` where its end is
        not `expected` any more.
        """
        instance, seconds = instances.get(connection, instance_id), self.catalog.sessions.grace_minutes * 60
        had = any(one.kind is ExtensionKind.GRACE for one in extensions.of_instance(connection, instance_id))
        if had or not seconds or self._is_wanted(connection, instance):
            return None
        now, ends_at = self.now(), expected + timedelta(seconds=seconds)
        self._put(connection, instance, ExtensionKind.GRACE, seconds)
        is_debited = self.metering.debit_next_week(connection, instance, seconds, now)
        notice = SessionNotice(
            id=self.new_id(),
            instance_id=instance_id,
            person_id=instance.person_id,
            kind=NoticeKind.GRACE,
            mark=mark_of(NoticeKind.GRACE, ends_at, seconds // 60),
            due_at=ends_at,
            written_at=now,
            params={"minutes": seconds // 60, "debited": is_debited},
        )
        notices.write(connection, notice)
        instances.move_end(connection, instance_id, expected=expected, ends_at=ends_at)
        return notice

    @property
    def _seconds(self) -> int:
        return self.catalog.sessions.extension_minutes * 60

    def _put(self, connection: Connection, instance: Instance, kind: ExtensionKind, seconds: int) -> None:
        extensions.put(connection, Extension(self.new_id(), instance.id, instance.person_id, kind, seconds, self.now()))

    def _refusal(self, connection: Connection, instance: Instance, left: int) -> CannotExtend | NotRunning | None:
        if instance.state is not InstanceState.RUNNING or instance.ends_at is None:
            return NotRunning("No notebook is running.", next_step="Start one first.")
        if AdminSettings(admin_settings.all_of(connection)).drain is not None:
            return MaintenanceAhead(
                "Your notebook cannot be extended, because maintenance is about to start.",
                next_step="Download the files you want to keep.",
            )
        if self.catalog.sessions.extensions <= 0:
            return ExtensionsUsed(
                "Notebooks cannot be extended on this platform.",
                next_step="Download the files you want to keep.",
            )
        if left <= 0:
            return ExtensionsUsed(
                "Your notebook has been extended as often as allowed.",
                next_step="Download the files you want to keep.",
            )
        if not self._is_allowed(connection, instance, instance.ends_at):
            return NotExtendable(
                "Your account's session limit does not allow more time.",
                next_step="Download the files you want to keep.",
            )
        if self._is_wanted(connection, instance):
            return OthersWait(
                "Other users are waiting for this machine type, so your notebook cannot be extended.",
                next_step="Try again later, or download the files you want to keep.",
            )
        if not self.metering.covers(connection, instance, self._seconds, self.now()):
            return _no_hours()
        return None

    def _is_wanted(self, connection: Connection, instance: Instance) -> bool:
        rivals = self.metering.rivals(instance.flavor)
        return any(
            one.state is TicketState.WAITING and one.flavor in rivals and one.person_id != instance.person_id
            for one in tickets.alive(connection)
        )

    def _is_allowed(self, connection: Connection, instance: Instance, ends_at: datetime) -> bool:
        """Whether the catalog still gives the person this flavor, and their class a session of this length."""
        rights = rights_in(connection, self.catalog, instance.person_id)
        if rights.denial(instance.flavor, instance.image) is not None:
            return False
        limits = trust.limits_of(people.find(connection, instance.person_id), self.now(), self.people)
        if limits.session_minutes is None or instance.usable_at is None:
            return True
        longest = timedelta(minutes=limits.session_minutes)
        return ends_at + timedelta(seconds=self._seconds) - instance.usable_at <= longest


def _clicks(connection: Connection, instance_id: str) -> list[Extension]:
    return [one for one in extensions.of_instance(connection, instance_id) if one.kind is ExtensionKind.CLICK]


def _no_hours() -> NoHoursToExtend:
    return NoHoursToExtend(
        "You do not have enough hours left this week to extend your notebook.",
        next_step="Download the files you want to keep.",
    )
