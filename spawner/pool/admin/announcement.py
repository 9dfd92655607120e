"""What administrators announce to everybody: in two languages, from and until a time."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy import Connection

from spawner.catalog import Catalog
from spawner.errors import BadOption
from spawner.ledger.pool import admin_settings
from spawner.ledger.pool.admin_settings import AdminSetting
from spawner.pool.admin.commands import MAX_AHEAD, Command, EmptyCommand, format_time

ANNOUNCEMENT = "announcement"
LONGEST = 500
"""Characters."""
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST)]


class Announcement(BaseModel):
    """A text that is shown from `begins` until `ends`. One of the two languages is enough."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    en: str
    zh: str
    begins: AwareDatetime
    ends: AwareDatetime

    def holds(self, now: datetime) -> bool:
        """Whether it is shown now."""
        return self.begins <= now < self.ends

    def text(self, language: str) -> str:
        """In a language (a BCP 47 tag), else in the other one."""
        first, second = (self.zh, self.en) if language.startswith("zh") else (self.en, self.zh)
        return first or second

    @property
    def id(self) -> str:
        """Another one for each text and time: who has closed one sees the next."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


class AnnouncementChange(Command):
    """Announce a text, or change the announcement. Without `begins` it is shown from now on."""

    en: Words = ""
    zh: Words = ""
    begins: AwareDatetime | None = None
    ends: AwareDatetime = Field()


def announcement_of(rows: dict[str, AdminSetting]) -> Announcement | None:
    """The announcement of these settings, before, in or after its time; None where it cannot be read."""
    row = rows.get(ANNOUNCEMENT)
    try:
        return None if row is None else Announcement.model_validate(row.value)
    except ValidationError:
        return None


def read_announcement(connection: Connection, *, now: datetime) -> Announcement | None:
    """What is announced now."""
    found = announcement_of(admin_settings.all_of(connection))
    return found if found is not None and found.holds(now) else None


def announce(connection: Connection, catalog: Catalog, change: AnnouncementChange, *, now: datetime, by: str) -> None:  # noqa: ARG001
    """Write the announcement. Raises `BadOption`."""
    if not (change.en or change.zh):
        raise BadOption("The announcement has no text.", next_step="Write it in English, in Chinese, or in both.")
    begins = change.begins or now
    if change.ends <= max(now, begins):
        raise BadOption(
            "The announcement would end at {value}, before anybody sees it.",
            next_step="Choose an end in the future, after its beginning.",
            value=format_time(change.ends),
        )
    if change.ends - now > MAX_AHEAD:
        raise BadOption(
            "{value} is more than a year away.", next_step="Check the year.", value=format_time(change.ends)
        )
    made = Announcement(en=change.en, zh=change.zh, begins=begins, ends=change.ends)
    admin_settings.put(connection, ANNOUNCEMENT, made.model_dump(mode="json"), now=now, by=by)


def end_announcement(
    connection: Connection,
    catalog: Catalog,  # noqa: ARG001
    change: EmptyCommand,  # noqa: ARG001
    *,
    now: datetime,  # noqa: ARG001
    by: str,  # noqa: ARG001
) -> None:
    """Take it back."""
    admin_settings.clear(connection, ANNOUNCEMENT)
