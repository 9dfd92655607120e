"""When users were deleted, in a table of its own in JupyterHub's database: links from before that are refused.

A link has no subject to tell people apart by, so the user's name is all there is.
"""

from __future__ import annotations

from sqlalchemy import Column, Double, MetaData, Table, Unicode, delete, insert, select
from sqlalchemy.orm import Session

METADATA = MetaData()
DELETED = Table(
    "freepool_deleted_users",
    METADATA,
    Column("user_name", Unicode(255), primary_key=True),
    Column("deleted_at", Double, nullable=False, comment="seconds since 1970"),
)


def note_deletion(session: Session, user_name: str, now: float) -> None:
    """Part of the transaction in which JupyterHub deletes the user."""
    METADATA.create_all(session.connection())
    session.execute(delete(DELETED).where(DELETED.c.user_name == user_name))
    session.execute(insert(DELETED).values(user_name=user_name, deleted_at=now))


def was_deleted_since(session: Session, user_name: str, since: float) -> bool:
    """Whether the user has been deleted at `since` or later."""
    METADATA.create_all(session.connection())
    found = session.execute(select(DELETED.c.deleted_at).where(DELETED.c.user_name == user_name)).scalar()
    return found is not None and found >= since
