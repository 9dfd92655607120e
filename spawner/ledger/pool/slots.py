"""Queries of slots. A slot's row is committed before the backend is asked to create it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, or_, select, true, update

from spawner.errors import LostRace
from spawner.ledger.engine import rows_changed
from spawner.ledger.pool.rows import EndReason, Slot, SlotState
from spawner.ledger.pool.tables import IS_UNGONE, slots
from spawner.ledger.records import columns_of
from spawner.ledger.transitions import change, ended_before, touch


class _Changes(TypedDict, total=False):
    """Columns that change together with the state."""

    holder_id: str | None
    warm_at: datetime
    claimed_at: datetime | None
    ended_at: datetime
    reason: EndReason
    detail: str | None


def _change(
    connection: Connection,
    row_id: str,
    *,
    expected: Iterable[SlotState],
    to: SlotState,
    **values: Unpack[_Changes],
) -> None:
    change(connection, slots, row_id, expected=expected, to=to, **values)


_STAYING = select(slots.c.flavor, func.count()).where(IS_UNGONE, slots.c.state != SlotState.DESTROYING)
_STAYING_BY_FLAVOR = _STAYING.group_by(slots.c.flavor)
_HELD_BY_FLAVOR = _STAYING.where(
    or_(slots.c.holder_id.is_not(None), slots.c.state.not_in([SlotState.WARM, SlotState.CREATING]))
).group_by(slots.c.flavor)
_OCCUPYING = select(*columns_of(slots, Slot)).where(IS_UNGONE).order_by(slots.c.created_at, slots.c.id)


def intend(
    connection: Connection,
    *,
    slot_id: str,
    flavor: str,
    image: str,
    holder_id: str | None,
    now: datetime,
    version: str | None = None,
) -> Slot:
    """Write the intent to create a slot for an instance or ticket, or (None) an unassigned one."""
    connection.execute(
        insert(slots).values(
            id=slot_id,
            flavor=flavor,
            image=image,
            state=SlotState.CREATING,
            holder_id=holder_id,
            created_at=now,
            version=version,
        )
    )
    touch(connection)
    return get(connection, slot_id)


def claim_waiting(
    connection: Connection, *, flavor: str, image: str, holder_id: str, now: datetime, version: str | None = None
) -> Slot | None:
    """Assign an unassigned slot to an instance or ticket, atomically; None if there is none.

    With `version` none of another version is taken: it has the sizes and pod fields of an older catalog.
    The oldest warm slot is preferred, then the oldest that is being created: it is ready before a new one could be.
    """
    for state, values in (
        (SlotState.WARM, {"state": SlotState.CLAIMED, "claimed_at": now}),
        (SlotState.CREATING, {}),
    ):
        candidate = (
            select(slots.c.id)
            .where(
                slots.c.state == state,
                slots.c.flavor == flavor,
                slots.c.image == image,
                slots.c.holder_id.is_(None),
                true() if version is None else or_(slots.c.version.is_(None), slots.c.version == version),
            )
            .order_by(slots.c.created_at, slots.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        slot_id = connection.execute(candidate).scalar()
        if slot_id is None:
            continue
        result = connection.execute(
            update(slots)
            .where(slots.c.id == slot_id, slots.c.state == state, slots.c.holder_id.is_(None))
            .values(holder_id=holder_id, **values)
        )
        if rows_changed(result) == 1:
            touch(connection)
            return get(connection, slot_id)
    return None


def mark_warm(connection: Connection, slot_id: str, *, now: datetime) -> None:
    """CREATING to WARM, for an unassigned slot. Raises `LostRace` if it is assigned: then its start waits for it."""
    _check_unassigned(connection, slot_id)
    _change(connection, slot_id, expected=(SlotState.CREATING,), to=SlotState.WARM, warm_at=now)


def mark_claimed(connection: Connection, slot_id: str, *, now: datetime) -> None:
    """CREATING to CLAIMED: an assigned slot is ready."""
    _change(
        connection,
        slot_id,
        expected=(SlotState.CREATING,),
        to=SlotState.CLAIMED,
        warm_at=now,
        claimed_at=now,
    )


def mark_destroying(
    connection: Connection,
    slot_id: str,
    *,
    reason: EndReason,
    detail: str | None = None,
    expected: Iterable[SlotState] = (SlotState.CREATING, SlotState.WARM, SlotState.CLAIMED),
) -> None:
    """Write the intent to destroy."""
    _change(
        connection,
        slot_id,
        expected=expected,
        to=SlotState.DESTROYING,
        reason=reason,
        detail=detail,
    )


def transfer(connection: Connection, *, ticket_id: str, instance_id: str) -> None:
    """Assign the slots of a ticket to its instance."""
    connection.execute(update(slots).where(slots.c.holder_id == ticket_id, IS_UNGONE).values(holder_id=instance_id))


def release(connection: Connection, ticket_id: str) -> None:
    """Release the slots of a ticket: a ready one becomes warm again, the others are destroyed."""
    for slot in of_holder(connection, ticket_id):
        if slot.state is SlotState.CLAIMED:
            _change(
                connection,
                slot.id,
                expected=(SlotState.CLAIMED,),
                to=SlotState.WARM,
                holder_id=None,
                claimed_at=None,
            )
        elif slot.state is not SlotState.DESTROYING:
            mark_destroying(connection, slot.id, reason=EndReason.CANCELLED)


def withdraw(connection: Connection, slot_id: str) -> None:
    """Start to destroy an unassigned slot. Raises `LostRace` if it is assigned or gone."""
    _check_unassigned(connection, slot_id)
    mark_destroying(connection, slot_id, reason=EndReason.SURPLUS, expected=(SlotState.CREATING, SlotState.WARM))


def _check_unassigned(connection: Connection, slot_id: str) -> None:
    row = find(connection, slot_id)
    if row is None or row.holder_id is not None:
        raise LostRace("The slot {slot} is somebody's.", slot=slot_id)


def failures(connection: Connection, *, since: datetime) -> list[Slot]:
    """Slots that failed to become ready since the last one that did, newest first; at most 50 rows are read."""
    rows = connection.execute(
        select(slots)
        .where(slots.c.created_at >= since, or_(slots.c.warm_at.is_not(None), slots.c.reason.is_not(None)))
        .order_by(slots.c.created_at.desc(), slots.c.id)
        .limit(50)
    )
    failed: list[Slot] = []
    for slot in (Slot(**row._mapping) for row in rows):
        if slot.warm_at is not None:
            break
        if slot.reason in (EndReason.START_FAILED, EndReason.NO_ROOM):
            failed.append(slot)
    return failed


def warmed_since(connection: Connection, moment: datetime, *, at_most: int = 200) -> list[Slot]:
    """Slots that became ready since then, newest first."""
    rows = connection.execute(
        select(slots).where(slots.c.warm_at >= moment).order_by(slots.c.warm_at.desc()).limit(at_most)
    )
    return [Slot(**row._mapping) for row in rows]


def without_room(connection: Connection, *, since: datetime) -> set[str]:
    """Flavors whose last slot found no room in the backend, unless another slot ended since then."""
    last_left = connection.execute(
        select(slots.c.ended_at)
        .where(slots.c.ended_at.is_not(None), _reason_is_not(EndReason.NO_ROOM))
        .order_by(slots.c.ended_at.desc())
        .limit(1)
    ).scalar()
    decided = select(slots.c.flavor, slots.c.reason, slots.c.created_at).where(
        slots.c.created_at >= since, or_(slots.c.warm_at.is_not(None), slots.c.reason.is_not(None))
    )
    found: dict[str, bool] = {}
    for flavor, reason, created_at in connection.execute(decided.order_by(slots.c.created_at)):
        found[flavor] = reason == EndReason.NO_ROOM and (last_left is None or last_left < created_at)
    return {flavor for flavor, no_room in found.items() if no_room}


def no_room_messages(connection: Connection, *, since: datetime) -> dict[str, str]:
    """By flavor: what the backend said when the last slot of it found no room, unless one was created after it."""
    decided = select(slots.c.flavor, slots.c.reason, slots.c.detail).where(
        slots.c.created_at >= since, or_(slots.c.warm_at.is_not(None), slots.c.reason.is_not(None))
    )
    found: dict[str, str | None] = {}
    for flavor, reason, detail in connection.execute(decided.order_by(slots.c.created_at)):
        found[flavor] = (detail or "") if reason == EndReason.NO_ROOM else None
    return {flavor: message for flavor, message in found.items() if message is not None}


def _reason_is_not(reason: EndReason) -> ColumnElement[bool]:
    return or_(slots.c.reason.is_(None), slots.c.reason != reason)


def mark_gone(connection: Connection, slot_id: str, *, now: datetime) -> None:
    """DESTROYING to GONE: the backend confirmed it."""
    _change(connection, slot_id, expected=(SlotState.DESTROYING,), to=SlotState.GONE, ended_at=now)


def get(connection: Connection, slot_id: str) -> Slot:
    """The row with this id."""
    return Slot(**connection.execute(select(slots).where(slots.c.id == slot_id)).one()._mapping)


def find(connection: Connection, slot_id: str) -> Slot | None:
    """The row with this id, or None."""
    row = connection.execute(select(slots).where(slots.c.id == slot_id)).one_or_none()
    return None if row is None else Slot(**row._mapping)


def of_holder(connection: Connection, holder_id: str) -> list[Slot]:
    """Slots of an instance or ticket that are not gone."""
    rows = connection.execute(select(slots).where(slots.c.holder_id == holder_id, IS_UNGONE))
    return [Slot(**row._mapping) for row in rows]


def occupying(connection: Connection) -> list[Slot]:
    """All slots that use capacity, oldest first."""
    return [Slot(*row) for row in connection.execute(_OCCUPYING)]


def staying_by_flavor(connection: Connection) -> dict[str, int]:
    """How many slots of each flavor use capacity and are not being destroyed."""
    return _counts(connection, _STAYING_BY_FLAVOR)


def held_by_flavor(connection: Connection) -> dict[str, int]:
    """The same, without those that are unassigned: they give way to a request."""
    return _counts(connection, _HELD_BY_FLAVOR)


def _counts(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {row[0]: row[1] for row in connection.execute(query)}


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete slots that were gone before a time, at most `PRUNED_AT_ONCE`. Returns how many."""
    ids = ended_before(connection, slots, before)
    return connection.execute(delete(slots).where(slots.c.id.in_(ids))).rowcount
