"""Queries of instances and of the progress of their starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from spawner.errors import LostRace, TooMany
from spawner.ledger.engine import rows_changed
from spawner.ledger.pool import tickets
from spawner.ledger.pool.rows import (
    LIVE,
    UNENDED,
    USER_ENDED,
    EndReason,
    Event,
    Instance,
    InstanceState,
    StartStep,
)
from spawner.ledger.pool.tables import IS_UNENDED, events, instances
from spawner.ledger.pool.told import tell_end
from spawner.ledger.records import columns_of
from spawner.ledger.time.tables import IS_HELD, allowance_holds, instance_use, session_extensions, session_notices
from spawner.ledger.transitions import change, ended_before, touch

LONGEST_START = timedelta(hours=1)


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
    died_at: datetime


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


_ORDER = (instances.c.requested_at, instances.c.id)
_ROWS = select(*columns_of(instances, Instance))
_UNENDED = _ROWS.where(IS_UNENDED).order_by(*_ORDER)
_SERVED = select(instances.c.person_id, instances.c.server_name, instances.c.slot_id, instances.c.url).where(
    IS_UNENDED, instances.c.state == InstanceState.RUNNING
)
_RUNNING_TIMES = select(instances.c.flavor, instances.c.usable_at, instances.c.ends_at).where(IS_UNENDED, _in(LIVE))
_UNENDED_OF = _ROWS.where(_in(UNENDED), instances.c.person_id == bindparam("of")).order_by(*_ORDER)
_LAST_ENDED = (
    select(instances)
    .where(instances.c.person_id == bindparam("of"), instances.c.state == InstanceState.ENDED)
    .order_by(instances.c.ended_at.desc())
    .limit(1)
)
_USED_SINCE = select(instances.c.usable_at, instances.c.ended_at).where(
    instances.c.person_id == bindparam("of"),
    instances.c.usable_at.is_not(None),
    or_(instances.c.ended_at.is_(None), instances.c.ended_at >= bindparam("moment", type_=instances.c.ended_at.type)),
)


def request(
    connection: Connection,
    *,
    instance_id: str,
    person_id: str,
    user_name: str,
    server_name: str,
    flavor: str,
    image: str,
    example: str | None,
    hub_epoch: str,
    now: datetime,
    at_most: int,
) -> Instance:
    """Write a STARTING instance. The caller commits it before it starts anything.

    Raises `TooMany` if the person has `at_most` other live instances, `LostRace` if this server has a live one.
    """
    live = connection.execute(
        select(instances.c.server_name).where(instances.c.person_id == person_id, _in(LIVE))
    ).scalars()
    others = [name for name in live if name != server_name]
    if len(others) >= at_most:
        raise TooMany(
            "You already have a running notebook."
            if at_most == 1
            else "You already have {count} running notebooks, the maximum per person.",
            next_step="Stop it first, or continue working in it.",
            count=at_most,
        )
    try:
        connection.execute(
            insert(instances).values(
                id=instance_id,
                person_id=person_id,
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
    """Set the slot of a STARTING instance, before the claim is sent to it."""
    _change(
        connection,
        instance_id,
        expected=(InstanceState.STARTING,),
        to=InstanceState.STARTING,
        slot_id=slot_id,
    )


def mark_running(connection: Connection, instance_id: str, *, url: str, now: datetime, ends_at: datetime) -> Instance:
    """STARTING to RUNNING: the server answers. Sets the deadline."""
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


def move_end(connection: Connection, instance_id: str, *, expected: datetime, ends_at: datetime) -> None:
    """Move the end of a RUNNING instance. Raises `LostRace` where it is ending, or where its end is not `expected`."""
    result = connection.execute(
        update(instances)
        .where(
            instances.c.id == instance_id,
            instances.c.state == InstanceState.RUNNING,
            instances.c.ends_at == expected,
        )
        .values(ends_at=ends_at)
    )
    if rows_changed(result) != 1:
        raise LostRace("The end of {instance} has changed.", instance=instance_id)
    touch(connection)


def mark_stopping(
    connection: Connection,
    instance_id: str,
    *,
    reason: EndReason,
    now: datetime,
    detail: str | None = None,
    died_at: datetime | None = None,
    expected: Iterable[InstanceState] = LIVE,
) -> None:
    """Write the intent to end a live instance, with the reason shown to its user.

    `died_at`: the end as the backend recorded it, where nobody asked for it. If the user ended it before it ran, its
    ticket is cancelled; for other reasons the ticket stays called.
    """
    values: _Changes = {"reason": reason, "detail": detail, "stopping_at": now}
    _change(connection, instance_id, expected=expected, to=InstanceState.STOPPING, **_died(values, died_at))
    if reason in USER_ENDED:
        tickets.close_of_instance(connection, instance_id, now=now)


def correct_reason(
    connection: Connection,
    instance_id: str,
    *,
    reason: EndReason,
    detail: str | None,
    died_at: datetime | None = None,
) -> None:
    """Replace the reason of a STOPPING instance, when the cause is found later; and `died_at`, where it is known."""
    values: _Changes = {"reason": reason, "detail": detail}
    is_stopping = (InstanceState.STOPPING,)
    _change(connection, instance_id, expected=is_stopping, to=InstanceState.STOPPING, **_died(values, died_at))


def _died(values: _Changes, at: datetime | None) -> _Changes:
    if at is not None:
        values["died_at"] = at
    return values


def mark_ended(connection: Connection, instance_id: str, *, now: datetime) -> None:
    """STOPPING to ENDED: its slot is gone."""
    _change(
        connection,
        instance_id,
        expected=(InstanceState.STOPPING,),
        to=InstanceState.ENDED,
        ended_at=now,
    )
    tell_end(connection, get(connection, instance_id), now=now)


def get(connection: Connection, instance_id: str) -> Instance:
    """The row with this id."""
    return Instance(**connection.execute(select(instances).where(instances.c.id == instance_id)).one()._mapping)


def latest(connection: Connection, person_id: str, server_name: str) -> Instance | None:
    """The newest instance of a server, ended or not."""
    row = connection.execute(
        select(instances)
        .where(instances.c.person_id == person_id, instances.c.server_name == server_name)
        .order_by(instances.c.requested_at.desc(), instances.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Instance(**row._mapping)


def unended(connection: Connection, person_id: str | None = None) -> list[Instance]:
    """Instances that have not ended, oldest first; of one person if named."""
    rows = connection.execute(_UNENDED) if person_id is None else connection.execute(_UNENDED_OF, {"of": person_id})
    return [Instance(*row) for row in rows]


@dataclass(frozen=True)
class ServedServer:
    """What the hub must know of a RUNNING instance."""

    slot_id: str | None
    url: str | None


def served(connection: Connection) -> dict[tuple[str, str], ServedServer]:
    """The RUNNING instances by person and server name: few columns of many rows."""
    return {(row[0], row[1]): ServedServer(row[2], row[3]) for row in connection.execute(_SERVED)}


def running_times(connection: Connection) -> list[tuple[str, datetime | None, datetime | None]]:
    """Flavor, `usable_at` and `ends_at` of each live instance: few columns of many rows."""
    return [(flavor, usable_at, ends_at) for flavor, usable_at, ends_at in connection.execute(_RUNNING_TIMES)]


def last_ended(connection: Connection, person_id: str) -> Instance | None:
    """This person's instance that ended last."""
    row = connection.execute(_LAST_ENDED, {"of": person_id}).one_or_none()
    return None if row is None else Instance(**row._mapping)


def history(connection: Connection, person_id: str | None = None) -> list[Instance]:
    """All instances, oldest first; of one person if named."""
    query = select(instances).order_by(instances.c.requested_at, instances.c.id)
    if person_id is not None:
        query = query.where(instances.c.person_id == person_id)
    return [Instance(**row._mapping) for row in connection.execute(query)]


def lengths(connection: Connection, flavor: str, *, since: datetime, at_most: int) -> list[float]:
    """Run times in seconds of a flavor's instances that ended since then, newest first."""
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


def ended_with_hold(connection: Connection, *, at_most: int) -> list[str]:
    """Ids of ended instances for which allowance is still set aside."""
    query = select(allowance_holds.c.instance_id).where(
        IS_HELD,
        select(instances.c.id)
        .where(instances.c.id == allowance_holds.c.instance_id, instances.c.ended_at.is_not(None))
        .exists(),
    )
    return list(connection.execute(query.limit(at_most)).scalars())


def ended_since(connection: Connection, moment: datetime) -> list[Instance]:
    """Instances that ended since then, oldest first."""
    is_since = (instances.c.state == InstanceState.ENDED, instances.c.ended_at >= moment)
    rows = connection.execute(_ROWS.where(*is_since).order_by(instances.c.ended_at))
    return [Instance(*row) for row in rows]


def usable_since(connection: Connection, moment: datetime) -> list[Instance]:
    """Instances that became usable since then, oldest first."""
    rows = connection.execute(_ROWS.where(instances.c.usable_at >= moment).order_by(instances.c.usable_at))
    return [Instance(*row) for row in rows]


def steps_since(connection: Connection, moment: datetime, steps: Iterable[StartStep]) -> dict[str, set[StartStep]]:
    """By instance id, which of these steps it took since then, or up to `LONGEST_START` before."""
    rows = connection.execute(
        select(events.c.instance_id, events.c.step)
        .where(events.c.step.in_(list(steps)), events.c.at >= moment - LONGEST_START)
        .distinct()
    )
    found: dict[str, set[StartStep]] = {}
    for instance_id, step in rows:
        found.setdefault(instance_id, set()).add(step)
    return found


def used_since(connection: Connection, person_id: str, moment: datetime, *, now: datetime) -> timedelta:
    """Total run time of a person's instances since then."""
    rows = connection.execute(_USED_SINCE, {"of": person_id, "moment": moment})
    spans = (((ended or now) - max(usable, moment)) for usable, ended in rows)
    return sum((max(span, timedelta()) for span in spans), timedelta())


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete instances that ended before a time, with their progress: at most `PRUNED_AT_ONCE`. Returns how many."""
    ids = ended_before(connection, instances, before)
    for table in (events, instance_use, session_notices, session_extensions):
        connection.execute(delete(table).where(table.c.instance_id.in_(ids)))
    return connection.execute(delete(instances).where(instances.c.id.in_(ids))).rowcount


def add_event(
    connection: Connection,
    instance_id: str,
    step: StartStep,
    *,
    now: datetime,
    params: Mapping[str, str] | None = None,
) -> None:
    """Append a step to the progress of an instance."""
    connection.execute(insert(events).values(instance_id=instance_id, at=now, step=step, params=dict(params or {})))
    touch(connection)


def events_of(connection: Connection, instance_id: str, *, after: int = 0) -> list[Event]:
    """The progress of an instance, after the event with sequence number `after`."""
    rows = connection.execute(
        select(events).where(events.c.instance_id == instance_id, events.c.seq > after).order_by(events.c.seq)
    )
    return [Event(**row._mapping) for row in rows]
