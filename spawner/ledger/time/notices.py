"""Queries of notices to the people of running instances."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from spawner.ledger.engine import rows_changed
from spawner.ledger.time.rows import Answer, NoticeKind, SessionNotice
from spawner.ledger.time.tables import session_notices
from spawner.ledger.transitions import touch

_ORDER = (session_notices.c.written_at, session_notices.c.id)
_OF_INSTANCE = select(session_notices).where(session_notices.c.instance_id == bindparam("of")).order_by(*_ORDER)


def write(connection: Connection, notice: SessionNotice) -> bool:
    """Write a notice, which sends it to every open page of its person. False where its instance has one of its mark."""
    try:
        with connection.begin_nested():
            connection.execute(insert(session_notices).values(**vars(notice)))
    except IntegrityError:
        return False
    touch(connection)
    return True


def of_instance(connection: Connection, instance_id: str) -> list[SessionNotice]:
    """All notices of one instance, oldest first."""
    return [SessionNotice(**row._mapping) for row in connection.execute(_OF_INSTANCE, {"of": instance_id})]


def of_instances(
    connection: Connection, instance_ids: Collection[str], kinds: Iterable[NoticeKind] = tuple(NoticeKind)
) -> dict[str, list[SessionNotice]]:
    """Notices of these kinds, oldest first, by instance. Instances without any are not in it."""
    found: dict[str, list[SessionNotice]] = {}
    if not instance_ids:
        return found
    query = select(session_notices).where(
        session_notices.c.instance_id.in_(list(instance_ids)), session_notices.c.kind.in_(list(kinds))
    )
    for row in connection.execute(query.order_by(*_ORDER)):
        found.setdefault(row.instance_id, []).append(SessionNotice(**row._mapping))
    return found


def mark_seen(
    connection: Connection, ids: Collection[str], where: str, now: datetime, *, instance_id: str | None = None
) -> int:
    """Note that a page shows these notices: `lab` or `desk`. The first page stays. Returns how many changed.

    With `instance_id`, only notices of that instance. No page shows it, so the revision stays: else each of many open
    pages would make all others read again.
    """
    if not ids:
        return 0
    query = update(session_notices).where(session_notices.c.id.in_(list(ids)), session_notices.c.seen_at.is_(None))
    return _changed(connection, query, instance_id, seen_at=now, seen_in=where)


def answer(
    connection: Connection, notice_id: str, given: Answer, now: datetime, *, instance_id: str | None = None
) -> bool:
    """Write the answer to a notice (of this instance, if named). False where it has one, or where there is none."""
    query = update(session_notices).where(session_notices.c.id == notice_id, session_notices.c.answered_at.is_(None))
    is_changed = _changed(connection, query, instance_id, answered_at=now, answer=given) == 1
    if is_changed:
        touch(connection)
    return is_changed


def answer_all(
    connection: Connection, instance_id: str, kinds: Iterable[NoticeKind], given: Answer, now: datetime
) -> None:
    """Write one answer to all open notices of these kinds. The caller increments the revision."""
    query = update(session_notices).where(
        session_notices.c.instance_id == instance_id,
        session_notices.c.kind.in_(list(kinds)),
        session_notices.c.answered_at.is_(None),
    )
    connection.execute(query.values(answered_at=now, answer=given))


def _changed(connection: Connection, query: Any, instance_id: str | None, **values: object) -> int:
    if instance_id is not None:
        query = query.where(session_notices.c.instance_id == instance_id)
    return rows_changed(connection.execute(query.values(**values)))
