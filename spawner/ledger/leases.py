"""Leases: one process at a time does a job. A lease expires, so a dead holder blocks others only until then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from spawner.ledger.engine import rows_changed
from spawner.ledger.schema import leases

STEWARD = "steward"
"""Lease of the steward that acts on the pool: one for all hubs of the ledger."""


def hub_lease(hub: str) -> str:
    """Lease of the steward that acts for the people of one hub: by its JupyterHub."""
    return f"{STEWARD}:{hub}"


def hold_all(
    connection: Connection, names: Iterable[str], *, holder: str, now: datetime, duration: timedelta
) -> frozenset[str]:
    """`hold` each in one transaction. Returns those that `holder` has."""
    return frozenset(name for name in names if hold(connection, name, holder=holder, now=now, duration=duration))


def hold(connection: Connection, name: str, *, holder: str, now: datetime, duration: timedelta) -> bool:
    """Take or renew a lease. True if `holder` has it until `now + duration`; False if another holder has it."""
    until = now + duration
    result = connection.execute(
        update(leases)
        .where(leases.c.name == name, or_(leases.c.holder == holder, leases.c.expires_at < now))
        .values(holder=holder, expires_at=until)
    )
    if rows_changed(result) == 1:
        return True
    # Look first: PostgreSQL logs each failed insert, and a standby steward tries every second.
    if connection.execute(select(leases.c.name).where(leases.c.name == name)).first() is not None:
        return False
    try:
        with connection.begin_nested():
            connection.execute(insert(leases).values(name=name, holder=holder, expires_at=until))
    except IntegrityError:
        return False
    return True


def release(connection: Connection, name: str, *, holder: str) -> None:
    """Release a lease early, so that the next holder need not wait for its expiry."""
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))


def ends_at(connection: Connection, name: str) -> datetime | None:
    """Expiry of a lease, also a past one; None if there is no row."""
    return connection.execute(select(leases.c.expires_at).where(leases.c.name == name)).scalar()


def steward_ends_at(connection: Connection, hub: str) -> datetime | None:
    """Expiry of the pool's lease or the hub's, whichever is earlier; None if one of them has no row.

    A hub's own steward may be dead while another hub's acts on the pool.
    """
    names = STEWARD, hub_lease(hub)
    found = list(connection.execute(select(leases.c.expires_at).where(leases.c.name.in_(names))).scalars())
    return min(found) if len(found) == len(names) else None


def holder_of(connection: Connection, name: str, *, now: datetime) -> str | None:
    """Current holder of a lease; None if there is none."""
    return connection.execute(select(leases.c.holder).where(leases.c.name == name, leases.c.expires_at >= now)).scalar()
