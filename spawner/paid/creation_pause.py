"""The admin setting that pauses creating and starting paid instances. Running ones are not affected."""

from __future__ import annotations

from sqlalchemy import Connection

from spawner.errors import PaidPaused
from spawner.ledger.pool import admin_settings

NO_NEW = "paid.no_new"
"""Key of the admin setting. It is present while creation is paused."""


def is_paused(connection: Connection) -> bool:
    return NO_NEW in admin_settings.all_of(connection)


def refuse_if_paused(connection: Connection) -> None:
    """Raise `PaidPaused` while creation is paused."""
    if is_paused(connection):
        raise PaidPaused("New paid notebooks cannot be created right now.", next_step="Try again later.")
