"""Which instance had a slot, or a pod's address."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from spawner.ledger.pool.rows import Instance
from spawner.ledger.pool.tables import instances

BATCH = 500
"""Ids in one query: SQLite allows 32,766 parameters, older ones 999."""


def of_slots(connection: Connection, slot_ids: Collection[str]) -> dict[str, Instance]:
    """The instance of each slot. A slot serves one at most."""
    wanted = sorted(set(slot_ids))
    found: dict[str, Instance] = {}
    for at in range(0, len(wanted), BATCH):
        rows = connection.execute(select(instances).where(instances.c.slot_id.in_(wanted[at : at + BATCH])))
        found |= {row.slot_id: Instance(**row._mapping) for row in rows}
    return found


def at_address(connection: Connection, address: str) -> list[Instance]:
    """Instances whose notebook had this IP address, such as a pod's; oldest first."""
    host = f"[{address}]" if ":" in address else address
    query = select(instances).where(instances.c.url.startswith(f"http://{host}:", autoescape=True))
    return [Instance(**row._mapping) for row in connection.execute(query.order_by(instances.c.requested_at))]
