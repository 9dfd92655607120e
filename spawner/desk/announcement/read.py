"""The announcement as pages, their scripts and JupyterLab show it."""

from __future__ import annotations

import logging
from datetime import datetime

from pydantic import BaseModel

from spawner.desk.context import Desk
from spawner.errors import LedgerError
from spawner.pool.admin.announcement import Announcement, read_announcement

log = logging.getLogger("freepool.desk")


class AnnouncementView(BaseModel):
    """The text in the user's language. `id` changes with the announcement."""

    id: str
    text: str
    until: datetime


class AnnouncementAnswer(BaseModel):
    """What is announced now; null for nothing."""

    announcement: AnnouncementView | None


def view_of(announcement: Announcement | None, language: str, now: datetime) -> AnnouncementView | None:
    """None outside of its time."""
    if announcement is None or not announcement.holds(now):
        return None
    return AnnouncementView(id=announcement.id, text=announcement.text(language), until=announcement.ends)


async def current(desk: Desk, language: str, now: datetime) -> AnnouncementView | None:
    """What is announced now; None also where the ledger does not answer, so that no page fails."""
    try:
        found = await desk.ledger.aread(read_announcement, now=now)
    except LedgerError as error:
        log.warning("the announcement cannot be read: %s", error.message)
        return None
    return view_of(found, language, now)
