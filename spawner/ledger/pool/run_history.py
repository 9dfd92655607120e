"""A person's runs, newest first and page by page, with what each used of an allowance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select

from spawner.ledger.pool.rows import Instance
from spawner.ledger.pool.tables import instances
from spawner.ledger.time.rows import Charge, Grant, GrantSource, Hold
from spawner.ledger.time.tables import allowance_charges, allowance_grants, allowance_holds, session_extensions

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Cursor:
    """A place in the list: the request's time and the id of the last run of the page before."""

    requested_at: datetime
    instance_id: str

    def __str__(self) -> str:
        return f"{(self.requested_at - EPOCH) // MICROSECOND}.{self.instance_id}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """The cursor that `str` wrote; None for any other text."""
        micros, _, instance_id = text.partition(".")
        if not (micros.isascii() and micros.isdigit() and len(micros) <= 17 and instance_id):
            return None
        return cls(EPOCH + int(micros) * MICROSECOND, instance_id)


@dataclass(frozen=True)
class Run:
    """One run. `hold` is there while nothing is charged, `charge` after the end; both are None without an allowance.

    `refunds` are grants that administrators made for this run. `extended` is by how many seconds of the clock its end
    was moved.
    """

    instance: Instance
    charge: Charge | None = None
    hold: Hold | None = None
    refunds: tuple[Grant, ...] = ()
    extended: int = 0

    @property
    def refunded(self) -> int:
        """Weighted seconds that were given back."""
        return (self.charge.refunded if self.charge else 0) + sum(grant.seconds or 0 for grant in self.refunds)


@dataclass(frozen=True)
class RunPage:
    """`following` is the cursor of the next page; None on the last one."""

    runs: list[Run]
    following: Cursor | None


def page(connection: Connection, person_id: str, *, before: Cursor | None, at_most: int) -> RunPage:
    """The person's runs that were requested before the cursor's, newest first."""
    query = select(instances).where(instances.c.person_id == person_id)
    if before is not None:
        is_same = and_(instances.c.requested_at == before.requested_at, instances.c.id < before.instance_id)
        query = query.where(or_(instances.c.requested_at < before.requested_at, is_same))
    rows = connection.execute(
        query.order_by(instances.c.requested_at.desc(), instances.c.id.desc()).limit(at_most + 1)
    ).all()
    found = [Instance(**row._mapping) for row in rows[:at_most]]
    following = Cursor(found[-1].requested_at, found[-1].id) if len(rows) > at_most else None
    return RunPage(with_use(connection, person_id, found), following)


def with_use(connection: Connection, person_id: str, found: Iterable[Instance]) -> list[Run]:
    """These runs of one person with what they used."""
    listed = list(found)
    ids = [instance.id for instance in listed]
    charges = {charge.instance_id: charge for charge in charges_of(connection, ids)}
    is_held = allowance_holds.c.released_at.is_(None)
    rows = connection.execute(select(allowance_holds).where(_is_of(allowance_holds, ids), is_held))
    holds = {row.instance_id: Hold(**row._mapping) for row in rows}
    seconds = func.sum(session_extensions.c.seconds)
    moved = connection.execute(
        select(session_extensions.c.instance_id, seconds)
        .where(_is_of(session_extensions, ids))
        .group_by(session_extensions.c.instance_id)
    )
    extended = {instance_id: int(total) for instance_id, total in moved}
    refunds: dict[str, list[Grant]] = {}
    for grant in refunds_of(connection, person_id, ids):
        refunds.setdefault(grant.reference or "", []).append(grant)
    return [
        Run(
            instance=instance,
            charge=charges.get(instance.id),
            hold=holds.get(instance.id),
            refunds=tuple(refunds.get(instance.id, ())),
            extended=extended.get(instance.id, 0),
        )
        for instance in listed
    ]


def charges_of(connection: Connection, instance_ids: list[str]) -> list[Charge]:
    """The charges of these instances."""
    rows = connection.execute(select(allowance_charges).where(_is_of(allowance_charges, instance_ids)))
    return [Charge(**row._mapping) for row in rows]


def refunds_of(connection: Connection, person_id: str, instance_ids: list[str]) -> list[Grant]:
    """What administrators gave a person back for these instances, oldest first."""
    rows = connection.execute(
        select(allowance_grants)
        .where(
            allowance_grants.c.person_id == person_id,
            allowance_grants.c.source == GrantSource.REFUND,
            allowance_grants.c.reference.in_(instance_ids),
        )
        .order_by(allowance_grants.c.made_at, allowance_grants.c.id)
    )
    return [Grant(**row._mapping) for row in rows]


def _is_of(table: Table, instance_ids: list[str]) -> ColumnElement[bool]:
    return table.c.instance_id.in_(instance_ids)
