"""Which notice of an instance's end is due, and whether its user was told in time. Pure.

An end is *told* when a notice of it was written: writing sends it to every open lab and desk of the user, and to their
own channel. No session ends at its time limit, or for idleness, before its user was told for `LEAST_NOTICE`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from spawner.catalog.sessions import LEAST_NOTICE_MINUTES
from spawner.ledger.time.rows import NoticeKind, SessionNotice

LEAST_NOTICE = timedelta(minutes=LEAST_NOTICE_MINUTES)
OF_AN_END = (NoticeKind.DEADLINE, NoticeKind.GRACE, NoticeKind.MAINTENANCE)
SAME_END = timedelta(seconds=30)
"""Two ends that are so close are one to a reader."""


def least_notice(session: timedelta) -> timedelta:
    """How long before its end a session's user is told at least: a session that is shorter gets all of it."""
    return min(LEAST_NOTICE, session)


def told_until(
    notices: Iterable[SessionNotice], end: datetime, *, moved_by: timedelta = timedelta()
) -> datetime | None:
    """From when on the user was told of this end for long enough; None where they were not told of it yet.

    That is `LEAST_NOTICE` after the first notice. The notice of a shorter session says itself when the session ends.
    A notice of an end up to `LEAST_NOTICE` earlier counts: the user had more time than was said. So does one of the end
    that was then `moved_by` grace. A notice of an end that an extension has moved away does not.
    """
    earliest, latest = end - LEAST_NOTICE - moved_by, end + SAME_END
    told = (one for one in notices if one.kind in OF_AN_END and earliest <= one.due_at <= latest)
    return min((_heard_at(one) for one in told), default=None)


def _heard_at(notice: SessionNotice) -> datetime:
    heard = notice.written_at + LEAST_NOTICE
    return min(heard, notice.due_at) if notice.kind is NoticeKind.DEADLINE else heard


def due_mark(warn_minutes: Sequence[int], *, session: timedelta, left: timedelta) -> int | None:
    """The smallest of the minutes that has come, which is the one that is true now; None for none yet.

    A session is not warned at its very start, unless it is too short for any other notice.
    """
    minutes = [one for one in warn_minutes if timedelta(minutes=one) < session]
    if not any(one >= LEAST_NOTICE_MINUTES for one in minutes):
        minutes.append(math.ceil(session / timedelta(minutes=1)))
    return min((one for one in minutes if timedelta(minutes=one) >= left), default=None)


def mark_of(kind: NoticeKind, end: datetime, minutes: int) -> str:
    """The mark of a notice `minutes` before an end. Each end has its own, so an extended session is warned again."""
    return f"{kind.value}:{int(end.timestamp())}:{minutes}"


def is_given(notices: Iterable[SessionNotice], kind: NoticeKind, end: datetime, minutes: int) -> bool:
    """Whether a notice of so many minutes, or of fewer, was written for this end. That of grace is one, too."""
    return any(
        abs(one.due_at - end) <= SAME_END and int(one.mark.rpartition(":")[2]) <= minutes
        for one in notices
        if one.kind in (kind, NoticeKind.GRACE)
    )


def current(notices: Sequence[SessionNotice], *, end: datetime | None, now: datetime) -> list[SessionNotice]:
    """The notices that pages show, oldest first: of the end the last, if that is still the end; of others the last of
    each kind, while what it tells of is ahead."""
    last: dict[NoticeKind, SessionNotice] = {}
    for one in notices:
        last[NoticeKind.DEADLINE if one.kind in OF_AN_END else one.kind] = one
    shown = [one for one in last.values() if _is_current(one, end, now)]
    return sorted(shown, key=lambda one: (one.written_at, one.id))


def _is_current(notice: SessionNotice, end: datetime | None, now: datetime) -> bool:
    if notice.kind in OF_AN_END:
        return end is not None and abs(notice.due_at - end) <= LEAST_NOTICE
    return notice.kind not in (NoticeKind.IDLE, NoticeKind.MESSAGE) or notice.due_at > now
