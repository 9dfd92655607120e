"""Loans: one row from request to end, and the lines of progress that belong to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, bindparam, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError

from spawner.errors import LostRace, TooMany
from spawner.ledger.pool import tickets
from spawner.ledger.pool.rows import LIVE, UNENDED, USER_ENDED, EndReason, Event, Instance, InstanceState, StartStep
from spawner.ledger.pool.tables import events, instances
from spawner.ledger.transitions import change, touch


class _Changes(TypedDict, total=False):
    """Columns that change together with the state."""

    slot_id: str
    url: str
    usable_at: datetime
    ends_at: datetime
    stopping_at: datetime
    ended_at: datetime
    reason: EndReason
    detail: str | None


def _change(
    connection: Connection,
    row_id: str,
    *,
    expected: Iterable[InstanceState],
    to: InstanceState,
    **values: Unpack[_Changes],
) -> None:
    change(connection, instances, row_id, expected=expected, to=to, **values)


def _in(states: Iterable[InstanceState]) -> Any:
    return instances.c.state.in_(list(states))


_UNENDED = select(instances).where(_in(UNENDED)).order_by(instances.c.requested_at, instances.c.id)
_UNENDED_OF = _UNENDED.where(instances.c.user_name == bindparam("of"))
_LAST_ENDED = (
    select(instances)
    .where(instances.c.user_name == bindparam("of"), instances.c.state == InstanceState.ENDED)
    .order_by(instances.c.ended_at.desc())
    .limit(1)
)
_USED_SINCE = select(instances.c.usable_at, instances.c.ended_at).where(
    instances.c.user_name == bindparam("of"),
    instances.c.usable_at.is_not(None),
    or_(instances.c.ended_at.is_(None), instances.c.ended_at >= bindparam("moment", type_=instances.c.ended_at.type)),
)


def request(
    connection: Connection,
    *,
    instance_id: str,
    user_name: str,
    server_name: str,
    flavor: str,
    image: str,
    example: str | None,
    hub_epoch: str,
    now: datetime,
    at_most: int,
) -> Instance:
    """Write the intent to lend: a STARTING row. The caller commits it before anything is started.

    Raises `TooMany` when the user already has `at_most` live loans, `LostRace` when this very server has one.
    """
    live = connection.execute(
        select(instances.c.server_name).where(instances.c.user_name == user_name, _in(LIVE))
    ).scalars()
    others = [name for name in live if name != server_name]
    if len(others) >= at_most:
        raise TooMany(
            "You already have {count} running, which is all that one person may have at once.",
            next_step="Stop it first, or go on working in it.",
            count="an instance" if at_most == 1 else f"{at_most} instances",
        )
    try:
        connection.execute(
            insert(instances).values(
                id=instance_id,
                user_name=user_name,
                server_name=server_name,
                flavor=flavor,
                image=image,
                example=example,
                state=InstanceState.STARTING,
                hub_epoch=hub_epoch,
                requested_at=now,
            )
        )
    except IntegrityError as error:
        raise LostRace(
            "The server {server} of {user} is being started already.",
            server=server_name or "(default)",
            user=user_name,
        ) from error
    touch(connection)
    return get(connection, instance_id)


def attach_slot(connection: Connection, instance_id: str, slot_id: str) -> None:
    """Note which slot a STARTING instance is to become, before the claim is sent."""
    _change(
        connection,
        instance_id,
        expected=(InstanceState.STARTING,),
        to=InstanceState.STARTING,
        slot_id=slot_id,
    )


def mark_running(connection: Connection, instance_id: str, *, url: str, now: datetime, ends_at: datetime) -> Instance:
    """STARTING to RUNNING: the server has answered. The deadline is fixed here."""
    _change(
        connection,
        instance_id,
        expected=(InstanceState.STARTING,),
        to=InstanceState.RUNNING,
        url=url,
        usable_at=now,
        ends_at=ends_at,
    )
    tickets.serve(connection, instance_id, now=now)
    return get(connection, instance_id)


def mark_stopping(
    connection: Connection,
    instance_id: str,
    *,
    reason: EndReason,
    now: datetime,
    detail: str | None = None,
    expected: Iterable[InstanceState] = LIVE,
) -> None:
    """Write the intent to end a live instance, with the reason that its user will read.

    Where its user ends it before it ran, its ticket is over too; else that stays, and its turn comes again.
    """
    _change(
        connection,
        instance_id,
        expected=expected,
        to=InstanceState.STOPPING,
        reason=reason,
        detail=detail,
        stopping_at=now,
    )
    if reason in USER_ENDED:
        tickets.close_of_instance(connection, instance_id, now=now)


def correct_reason(connection: Connection, instance_id: str, *, reason: EndReason, detail: str | None) -> None:
    """Write the cause of an end, once it is known, in place of what was first taken for it."""
    _change(
        connection,
        instance_id,
        expected=(InstanceState.STOPPING,),
        to=InstanceState.STOPPING,
        reason=reason,
        detail=detail,
    )


def mark_ended(connection: Connection, instance_id: str, *, now: datetime) -> None:
    """STOPPING to ENDED: its slot is known to be gone."""
    _change(
        connection,
        instance_id,
        expected=(InstanceState.STOPPING,),
        to=InstanceState.ENDED,
        ended_at=now,
    )


def get(connection: Connection, instance_id: str) -> Instance:
    """The row with this id."""
    return Instance(**connection.execute(select(instances).where(instances.c.id == instance_id)).one()._mapping)


def latest(connection: Connection, user_name: str, server_name: str) -> Instance | None:
    """The newest loan of one server, ended or not; None if it never had one."""
    row = connection.execute(
        select(instances)
        .where(instances.c.user_name == user_name, instances.c.server_name == server_name)
        .order_by(instances.c.requested_at.desc(), instances.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Instance(**row._mapping)


def unended(connection: Connection, user_name: str | None = None) -> list[Instance]:
    """All loans that have not ended, oldest first; of one user if named."""
    found = connection.execute(_UNENDED) if user_name is None else connection.execute(_UNENDED_OF, {"of": user_name})
    return [Instance(**row._mapping) for row in found]


def last_ended(connection: Connection, user_name: str) -> Instance | None:
    """The loan of this user that ended last."""
    row = connection.execute(_LAST_ENDED, {"of": user_name}).one_or_none()
    return None if row is None else Instance(**row._mapping)


def history(connection: Connection, user_name: str | None = None) -> list[Instance]:
    """All loans that are remembered, oldest first; of one user if named."""
    query = select(instances).order_by(instances.c.requested_at, instances.c.id)
    if user_name is not None:
        query = query.where(instances.c.user_name == user_name)
    return [Instance(**row._mapping) for row in connection.execute(query)]


def lengths(connection: Connection, flavor: str, *, since: datetime, at_most: int) -> list[float]:
    """Seconds for which the last loans of a flavor ran, the newest first, of those that have ended since a moment."""
    rows = connection.execute(
        select(instances.c.usable_at, instances.c.ended_at)
        .where(
            instances.c.state == InstanceState.ENDED,
            instances.c.flavor == flavor,
            instances.c.ended_at >= since,
            instances.c.usable_at.is_not(None),
        )
        .order_by(instances.c.ended_at.desc())
        .limit(at_most)
    )
    return [(ended_at - usable_at).total_seconds() for usable_at, ended_at in rows]


def ended_since(connection: Connection, moment: datetime) -> list[Instance]:
    """Loans that have ended since a moment, oldest first."""
    rows = connection.execute(
        select(instances)
        .where(instances.c.state == InstanceState.ENDED, instances.c.ended_at >= moment)
        .order_by(instances.c.ended_at)
    )
    return [Instance(**row._mapping) for row in rows]


def usable_since(connection: Connection, moment: datetime) -> list[Instance]:
    """Loans that came to run since a moment, oldest first."""
    rows = connection.execute(select(instances).where(instances.c.usable_at >= moment).order_by(instances.c.usable_at))
    return [Instance(**row._mapping) for row in rows]


def steps_since(connection: Connection, moment: datetime, steps: Iterable[StartStep]) -> dict[str, set[StartStep]]:
    """Which of these steps were taken by each loan that came to run since a moment."""
    rows = connection.execute(
        select(events.c.instance_id, events.c.step)
        .join(instances, instances.c.id == events.c.instance_id)
        .where(instances.c.usable_at >= moment, events.c.step.in_(list(steps)))
        .distinct()
    )
    found: dict[str, set[StartStep]] = {}
    for instance_id, step in rows:
        found.setdefault(instance_id, set()).add(step)
    return found


def used_since(connection: Connection, user_name: str, moment: datetime, *, now: datetime) -> timedelta:
    """How long a user has had instances since a moment, all added up."""
    rows = connection.execute(_USED_SINCE, {"of": user_name, "moment": moment})
    spans = (((ended or now) - max(usable, moment)) for usable, ended in rows)
    return sum((max(span, timedelta()) for span in spans), timedelta())


def prune(connection: Connection, *, before: datetime) -> int:
    """Forget loans that ended before a time, with their progress. Returns how many."""
    old = select(instances.c.id).where(instances.c.state == InstanceState.ENDED, instances.c.ended_at < before)
    connection.execute(delete(events).where(events.c.instance_id.in_(old)))
    return connection.execute(delete(instances).where(instances.c.id.in_(old))).rowcount


def add_event(
    connection: Connection,
    instance_id: str,
    step: StartStep,
    *,
    now: datetime,
    params: Mapping[str, str] | None = None,
) -> None:
    """Append one line of progress."""
    connection.execute(insert(events).values(instance_id=instance_id, at=now, step=step, params=dict(params or {})))
    touch(connection)


def events_of(connection: Connection, instance_id: str, *, after: int = 0) -> list[Event]:
    """The progress of an instance from its beginning, or what came after line `after`."""
    rows = connection.execute(
        select(events).where(events.c.instance_id == instance_id, events.c.seq > after).order_by(events.c.seq)
    )
    return [Event(**row._mapping) for row in rows]
