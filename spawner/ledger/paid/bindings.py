"""Bindings: links between users and cloud accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from spawner.errors import LostRace
from spawner.ledger.paid.rows import LINKED, Binding, BindingState, Block
from spawner.ledger.paid.tables import bindings
from spawner.ledger.transitions import change, touch


class _Changes(TypedDict, total=False):
    """Columns that change together with the state."""

    role: str
    workspaces: dict[str, str]
    probed_at: datetime
    blocked: Block | None
    blocked_at: datetime | None
    unlinked_at: datetime


def _change(
    connection: Connection,
    row_id: str,
    *,
    expected: Iterable[BindingState],
    to: BindingState,
    **values: Unpack[_Changes],
) -> None:
    change(connection, bindings, row_id, expected=expected, to=to, **values)


def prove(connection: Connection, binding: Binding) -> None:
    """Insert a binding in state PROVEN. Raises `LostRace` if the user has linked this account already."""
    try:
        connection.execute(insert(bindings).values(**vars(binding)))
    except IntegrityError as error:
        raise LostRace("The account {account} is linked already.", account=binding.account_id) from error
    touch(connection)


def activate(
    connection: Connection, binding_id: str, *, role: str, workspaces: Mapping[str, str], now: datetime
) -> None:
    """PROVEN, BLOCKED or ACTIVE to ACTIVE, after a probe without problems."""
    _change(
        connection,
        binding_id,
        expected=(BindingState.PROVEN, *LINKED),
        to=BindingState.ACTIVE,
        role=role,
        workspaces=dict(workspaces),
        probed_at=now,
        blocked=None,
        blocked_at=None,
    )


def block(connection: Connection, binding_id: str, why: Block, *, now: datetime) -> None:
    """ACTIVE to BLOCKED: nothing more is created or started under it. Raises `LostRace` if it is blocked already."""
    _change(
        connection,
        binding_id,
        expected=(BindingState.ACTIVE,),
        to=BindingState.BLOCKED,
        blocked=why,
        blocked_at=now,
    )


def unblock(connection: Connection, binding_id: str) -> None:
    """BLOCKED to ACTIVE without a probe: the cloud accepts the role again."""
    _change(
        connection,
        binding_id,
        expected=(BindingState.BLOCKED,),
        to=BindingState.ACTIVE,
        blocked=None,
        blocked_at=None,
    )


def unlink(connection: Connection, binding_id: str, *, now: datetime) -> None:
    """Any state to UNLINKED, for good. The caller checks in the same transaction that nothing prevents it."""
    _change(
        connection,
        binding_id,
        expected=(BindingState.PROVEN, *LINKED),
        to=BindingState.UNLINKED,
        unlinked_at=now,
    )


def get(connection: Connection, binding_id: str) -> Binding:
    """The row with this id."""
    return Binding(**connection.execute(select(bindings).where(bindings.c.id == binding_id)).one()._mapping)


def of_person(connection: Connection, person_id: str) -> list[Binding]:
    """A person's bindings that are not UNLINKED, oldest first."""
    query = select(bindings).where(bindings.c.person_id == person_id, bindings.c.state != BindingState.UNLINKED)
    return _all(connection.execute(query.order_by(bindings.c.proven_at)))


def linked(connection: Connection) -> list[Binding]:
    """All users' bindings with a verified role: ACTIVE or BLOCKED."""
    return _all(connection.execute(ALL_LINKED))


def _in(states: Iterable[BindingState]) -> Any:
    return bindings.c.state.in_(list(states))


def _all(rows: Iterable[Row[Any]]) -> list[Binding]:
    return [Binding(**row._mapping) for row in rows]


# Built once: the steward executes it every second.
ALL_LINKED = select(bindings).where(_in(LINKED)).order_by(bindings.c.id)
