"""Invitations: each lets one new person in, with a class and groups."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from spawner.ledger.engine import rows_changed
from spawner.ledger.people.rows import Invitation
from spawner.ledger.people.tables import invitations
from spawner.ledger.transitions import touch

CODE = re.compile("[0-9a-f]{32}")


class InvitationState(StrEnum):
    """What has become of an invitation."""

    OPEN = "open"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


def new_code() -> str:
    """128 random bits, as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def read_code(text: str) -> str | None:
    """The code in what somebody has typed or copied, or None."""
    code = re.sub(r"[\s-]", "", text[:200]).lower()
    return code if CODE.fullmatch(code) else None


def hash_of(code: str) -> str:
    """What is kept of a code. It is random, so a plain hash cannot be reversed."""
    return hashlib.sha256(f"freepool invitation v1 {code}".encode()).hexdigest()


def state_of(invitation: Invitation, now: datetime) -> InvitationState:
    """Used and revoked ones stay so."""
    if invitation.used_at is not None:
        return InvitationState.USED
    if invitation.revoked_at is not None:
        return InvitationState.REVOKED
    return InvitationState.OPEN if now < invitation.expires_at else InvitationState.EXPIRED


def make(connection: Connection, invitation: Invitation) -> None:
    """Write it."""
    connection.execute(insert(invitations).values(**vars(invitation)))
    touch(connection)


def list_invitations(connection: Connection) -> list[Invitation]:
    """All, newest first."""
    rows = connection.execute(select(invitations).order_by(invitations.c.made_at.desc(), invitations.c.id))
    return [_invitation(row) for row in rows]


def by_hash(connection: Connection, code_hash: str) -> Invitation | None:
    """The invitation with this code."""
    row = connection.execute(select(invitations).where(invitations.c.code_hash == code_hash)).one_or_none()
    return None if row is None else _invitation(row)


def take(connection: Connection, invitation_id: str, person_id: str, *, now: datetime) -> bool:
    """Use it for a person. False where it is open no more: of two who take it at once, one gets it."""
    query = _open(invitation_id).where(invitations.c.expires_at > now).values(used_at=now, used_by=person_id)
    return _changed(connection, query)


def revoke(connection: Connection, invitation_id: str, *, by: str, now: datetime) -> bool:
    """Make it void. False where there is none, or it is used or revoked already."""
    return _changed(connection, _open(invitation_id).values(revoked_at=now, revoked_by=by))


def _open(invitation_id: str) -> Any:
    return update(invitations).where(
        invitations.c.id == invitation_id, invitations.c.used_at.is_(None), invitations.c.revoked_at.is_(None)
    )


def _changed(connection: Connection, query: Any) -> bool:
    is_changed = rows_changed(connection.execute(query)) == 1
    if is_changed:
        touch(connection)
    return is_changed


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(**row._mapping)
