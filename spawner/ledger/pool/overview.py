"""What runs and what has failed, with people's present names; and how many ran at each time. For administrators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from spawner.ledger.people.tables import people
from spawner.ledger.pool.rows import EndReason, Instance
from spawner.ledger.pool.tables import IS_UNENDED, instances
from spawner.ledger.time.rows import InstanceUse
from spawner.ledger.time.tables import instance_use


@dataclass(frozen=True)
class NamedRun:
    """An instance, its person's present name, and how it is used, where that is known."""

    instance: Instance
    name: str
    use: InstanceUse | None = None


@dataclass(frozen=True)
class Span:
    """From when until when an instance of a flavor could be used; None while it still can."""

    flavor: str
    begins: datetime
    ends: datetime | None


def running(connection: Connection) -> list[NamedRun]:
    """All that have not ended, the oldest request first."""
    rows = connection.execute(_named().where(IS_UNENDED).order_by(instances.c.requested_at, instances.c.id)).all()
    used = select(instance_use).where(instance_use.c.instance_id.in_(select(instances.c.id).where(IS_UNENDED)))
    uses = {row.instance_id: InstanceUse(**row._mapping) for row in connection.execute(used)}
    return [_run(row._mapping, uses) for row in rows]


def failed_since(connection: Connection, since: datetime, *, reasons: list[EndReason], at_most: int) -> list[NamedRun]:
    """Those that ended for one of these reasons, the last first."""
    query = _named().where(instances.c.ended_at >= since, instances.c.reason.in_(reasons))
    rows = connection.execute(query.order_by(instances.c.ended_at.desc(), instances.c.id).limit(at_most))
    return [_run(row._mapping, {}) for row in rows]


def spans_since(connection: Connection, since: datetime) -> list[Span]:
    """All that could be used at some time since then."""
    columns = (instances.c.flavor, instances.c.usable_at, instances.c.ended_at)
    ended = select(*columns).where(instances.c.ended_at >= since, instances.c.usable_at.is_not(None))
    unended = select(*columns).where(IS_UNENDED, instances.c.usable_at.is_not(None))
    return [Span(*row) for query in (ended, unended) for row in connection.execute(query)]


def _named() -> Select[Any]:
    return select(instances, people.c.hub_name).outerjoin(people, people.c.id == instances.c.person_id)


def _run(row: RowMapping, uses: dict[str, InstanceUse]) -> NamedRun:
    values = dict(row)
    name = values.pop("hub_name")
    instance = Instance(**values)
    return NamedRun(instance, name or instance.user_name, uses.get(instance.id))
