"""The event log of orders, and users' notices. Rows are only added."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol

from sqlalchemy import Connection, and_, insert, select, update

from spawner.ledger.channels import messages
from spawner.ledger.channels.rows import MessageEvent
from spawner.ledger.paid.rows import Notice, NoticeKind, OrderEvent
from spawner.ledger.paid.tables import notices, order_events
from spawner.ledger.transitions import touch


def note(
    connection: Connection,
    order_id: str,
    *,
    at: datetime,
    by: str,
    what: str,
    before: str = "",
    after: str = "",
    request_id: str = "",
    params: Mapping[str, Any] | None = None,
) -> None:
    """Add an event to an order's log."""
    connection.execute(
        insert(order_events).values(
            order_id=order_id,
            at=at,
            by=by,
            what=what,
            before=before,
            after=after,
            request_id=request_id,
            params=dict(params or {}),
        )
    )


def record_of(connection: Connection, order_id: str) -> list[OrderEvent]:
    """The events of an order, oldest first."""
    query = select(order_events).where(order_events.c.order_id == order_id).order_by(order_events.c.seq)
    return [OrderEvent(**row._mapping) for row in connection.execute(query)]


class Owned(Protocol):
    """A row that is a person's."""

    @property
    def person_id(self) -> str:
        """The person."""

    @property
    def user_name(self) -> str:
        """The person's name when the row was written."""


def tell(
    connection: Connection,
    owner: Owned,
    kind: NoticeKind,
    *,
    occasion: str,
    at: datetime,
    order_id: str | None = None,
    binding_id: str | None = None,
    params: Mapping[str, str] | None = None,
) -> bool:
    """Add a notice for the owner of a row. False if there is one of this kind for this occasion already."""
    mark = f"{kind}:{occasion}"
    # Write transactions run one at a time (see `engine`), so this check and the insert cannot race.
    if connection.execute(select(notices.c.seq).where(notices.c.mark == mark)).first() is not None:
        return False
    connection.execute(
        insert(notices).values(
            mark=mark,
            person_id=owner.person_id,
            user_name=owner.user_name,
            kind=kind,
            order_id=order_id,
            binding_id=binding_id,
            at=at,
            params=dict(params or {}),
        )
    )
    told = {"kind": kind.value, "order": order_id, **(params or {})}
    messages.tell(connection, owner.person_id, MessageEvent.PAID, sha256(mark.encode()).hexdigest(), told, at)
    touch(connection)
    return True


def notices_of(connection: Connection, person_id: str, *, unseen_only: bool = False) -> list[Notice]:
    """A person's notices, newest first."""
    query = select(notices).where(notices.c.person_id == person_id).order_by(notices.c.seq.desc())
    if unseen_only:
        query = query.where(notices.c.seen_at.is_(None))
    return [Notice(**row._mapping) for row in connection.execute(query)]


def see(connection: Connection, person_id: str, seq: int, *, now: datetime) -> None:
    """Mark a notice as seen by its person, and all earlier ones about the same order or binding."""
    query = select(notices.c.order_id, notices.c.binding_id)
    read = connection.execute(query.where(notices.c.seq == seq, notices.c.person_id == person_id)).one_or_none()
    if read is None:
        return
    about = notices.c.order_id == read.order_id if read.order_id else notices.c.binding_id == read.binding_id
    unseen = and_(notices.c.person_id == person_id, notices.c.seq <= seq, notices.c.seen_at.is_(None))
    connection.execute(update(notices).where(unseen, about).values(seen_at=now))
    touch(connection)
