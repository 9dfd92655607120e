"""Brings the end of a session near, as if hours had passed."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, update

from spawner.ledger import Ledger
from spawner.ledger.pool.tables import instances
from spawner.ledger.time import notices
from spawner.ledger.time.rows import NoticeKind, SessionNotice
from spawner.pool.build import utc_now
from spawner.pool.time.notices import LEAST_NOTICE, mark_of


def set_end(ledger: Ledger, instance_id: str, ends_at: datetime) -> None:
    """Move the end of a session."""

    def write(connection: Connection) -> None:
        connection.execute(update(instances).where(instances.c.id == instance_id).values(ends_at=ends_at))

    ledger.write(write)


def tell(ledger: Ledger, instance_id: str, person_id: str, ends_at: datetime, *, ago: timedelta = LEAST_NOTICE) -> None:
    """Write a notice of an end, as if it had been written so long ago."""
    notice = SessionNotice(
        id=secrets.token_hex(8),
        instance_id=instance_id,
        person_id=person_id,
        kind=NoticeKind.DEADLINE,
        mark=mark_of(NoticeKind.DEADLINE, ends_at, 10),
        due_at=ends_at,
        written_at=utc_now() - ago,
        params={"minutes": 10},
    )
    ledger.write(notices.write, notice)


def reach_end(ledger: Ledger, instance_id: str, person_id: str) -> None:
    """The session's time is over, and its user was told in time."""
    now = utc_now()
    tell(ledger, instance_id, person_id, now)
    set_end(ledger, instance_id, now)
