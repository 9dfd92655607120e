"""What is due for the ends of running instances: notices, later ends, grace, and which may end now. Pure.

    told in time ──> may end, or grace first while a cell runs
    not told     ──> a notice, and the end moves so that the user has it for `LEAST_NOTICE`

So a steward that was away over an end does not end anything that nobody was told of. Maintenance is an administrator's
decision: its notices are written, but it ends at its time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from spawner.catalog import Sessions
from spawner.ledger.pool.rows import Instance, InstanceState
from spawner.ledger.time.rows import Extension, ExtensionKind, NoticeKind, SessionNotice
from spawner.pool.time.notices import due_mark, is_given, least_notice, mark_of, told_until

NEVER = datetime.max.replace(tzinfo=UTC)
ANSWER_PATIENCE = timedelta(seconds=5)
"""How long after its end an instance may take to say whether a cell runs. Then none counts as running."""


@dataclass(frozen=True)
class Run:
    """A running instance, with the notices of its end and what has moved it."""

    instance: Instance
    notices: tuple[SessionNotice, ...] = ()
    extensions: tuple[Extension, ...] = ()

    @property
    def grace(self) -> timedelta:
        """The grace that it was given."""
        given = (one.seconds for one in self.extensions if one.kind is ExtensionKind.GRACE)
        return timedelta(seconds=sum(given))


@dataclass(frozen=True)
class DueNotice:
    """A notice to write. `due_at`: the end that it tells of. `moves_end`: the end moves there, in one transaction."""

    instance: Instance
    kind: NoticeKind
    mark: str
    due_at: datetime
    params: dict[str, int]
    moves_end: bool = False


@dataclass(frozen=True)
class DueGrace:
    """Grace to give: the end moves from that of `instance` to `ends_at`."""

    instance: Instance
    ends_at: datetime


@dataclass
class Deadlines:
    """What is due. `ask`: instances whose kernels decide. `may_end`: ids of those that end now at their deadline."""

    notices: list[DueNotice] = field(default_factory=list)
    graces: list[DueGrace] = field(default_factory=list)
    ask: list[Instance] = field(default_factory=list)
    may_end: set[str] = field(default_factory=set)


def is_near(instance: Instance, rules: Sessions, *, now: datetime, closes_at: datetime | None) -> bool:
    """Whether anything may be due for an instance. Of others no rows need be read."""
    if instance.state is not InstanceState.RUNNING or instance.ends_at is None:
        return False
    end = instance.ends_at if closes_at is None else min(instance.ends_at, closes_at)
    return end - now <= timedelta(minutes=rules.warn_minutes[0])


def decide(
    runs: Iterable[Run],
    rules: Sessions,
    *,
    now: datetime,
    closes_at: datetime | None = None,
    wanted: Collection[str] = (),
    busy: Mapping[str, bool | None] | None = None,
) -> Deadlines:
    """What is due for these runs.

    `closes_at`: when maintenance ends everything. `wanted`: flavors that somebody waits for, whose sessions get no
    grace. `busy`: by id, whether a cell runs, of the instances that were asked; None where one did not answer.
    """
    due = Deadlines()
    for run in runs:
        end = run.instance.ends_at
        if not is_near(run.instance, rules, now=now, closes_at=closes_at) or end is None:
            continue
        if closes_at is not None and closes_at <= min(end, now):
            continue  # everything ends now, whatever else is due
        if closes_at is not None and closes_at <= end:
            _announce(due, run, rules, NoticeKind.MAINTENANCE, closes_at, now)
        elif now < max(end, told_until(run.notices, end, moved_by=run.grace) or NEVER):
            _announce(due, run, rules, NoticeKind.DEADLINE, end, now)
        else:
            _end(due, run, rules, end, now, closes_at, wanted, busy or {})
    return due


def session_of(instance: Instance, end: datetime) -> timedelta:
    """The length of a session with this end. One that ends before it began, by a clock that was set, is not short."""
    if instance.usable_at is None or instance.usable_at >= end:
        return timedelta.max
    return end - instance.usable_at


def _announce(due: Deadlines, run: Run, rules: Sessions, kind: NoticeKind, end: datetime, now: datetime) -> None:
    session, moves = session_of(run.instance, end), False
    if kind is NoticeKind.DEADLINE:
        earliest = told_until(run.notices, end, moved_by=run.grace) or now + least_notice(session)
        end, moves = max(end, earliest), earliest > end
    minutes = due_mark(rules.warn_minutes, session=session, left=end - now)
    if minutes is not None and (moves or not is_given(run.notices, kind, end, minutes)):
        params = {"minutes": max(1, round((end - now) / timedelta(minutes=1)))}
        due.notices.append(DueNotice(run.instance, kind, mark_of(kind, end, minutes), end, params, moves_end=moves))


def _end(
    due: Deadlines,
    run: Run,
    rules: Sessions,
    end: datetime,
    now: datetime,
    closes_at: datetime | None,
    wanted: Collection[str],
    busy: Mapping[str, bool | None],
) -> None:
    instance, later = run.instance, end + timedelta(minutes=rules.grace_minutes)
    has_grace = (
        rules.grace_minutes > 0
        and not run.grace
        and instance.flavor not in wanted
        and later > now
        and (closes_at is None or closes_at > later)
    )
    if has_grace and instance.id not in busy and now - end < ANSWER_PATIENCE:
        due.ask.append(instance)
    elif has_grace and busy.get(instance.id):
        due.graces.append(DueGrace(instance, later))
    else:
        due.may_end.add(instance.id)
