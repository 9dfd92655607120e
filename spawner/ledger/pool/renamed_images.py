"""Rows that are open and name an image by an id that it had before: they get its id of today.

Ended rows keep what they say. The catalog says which ids those are, so this is no migration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, select, text, update

from spawner.ledger.engine import rows_changed
from spawner.ledger.pool.tables import IS_OPEN, IS_UNENDED, IS_UNGONE, controls, instances, slots, tickets
from spawner.ledger.transitions import touch

OPEN: tuple[tuple[Table, Any], ...] = ((instances, IS_UNENDED), (slots, IS_UNGONE), (tickets, IS_OPEN))
FLOOR, PLAN = "floor:", "plan:"
"""Names of administrators' settings begin so (`spawner/pool/admin/settings.py`)."""


def rename(connection: Connection, names: Mapping[str, str]) -> int:
    """Rename in open rows and in administrators' settings; `names`: ids of today by ids of before. Counts changes."""
    changed = 0
    for table, is_open in OPEN:
        for old, new in names.items():
            done = connection.execute(update(table).where(is_open, table.c.image == old).values(image=new))
            changed += rows_changed(done)
    changed += _settings(connection, names)
    if changed:
        touch(connection)
    return changed


def _settings(connection: Connection, names: Mapping[str, str]) -> int:
    changed = 0
    rows = connection.execute(select(controls.c.name, controls.c.value)).all()
    there = {row.name for row in rows}
    for row in rows:
        flavor, _, image = row.name.removeprefix(FLOOR).partition(":")
        name, value = row.name, row.value
        if name.startswith(FLOOR) and image in names:
            name = f"{FLOOR}{flavor}:{names[image]}"
        elif name.startswith(PLAN) and isinstance(value, dict) and value.get("image") in names:
            value = {**value, "image": names[value["image"]]}
        if (name, value) != (row.name, row.value) and (name == row.name or name not in there):
            connection.execute(update(controls).where(controls.c.name == row.name).values(name=name, value=value))
            changed += 1
    return changed


def is_named(connection: Connection, names: Mapping[str, str]) -> bool:
    """Whether an open row, or a setting, names one of them. Reads indexes only."""
    for table, is_open in OPEN:
        if connection.execute(
            select(text("1")).select_from(table).where(is_open, table.c.image.in_(names)).limit(1)
        ).first():
            return True
    rows = connection.execute(select(controls.c.name, controls.c.value)).all()
    return any(
        row.name.rpartition(":")[2] in names or (isinstance(row.value, dict) and row.value.get("image") in names)
        for row in rows
    )
