"""Which nodes of a cluster have given pods users of their own (a user namespace), and which could not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from spawner.ledger.engine import rows_changed
from spawner.ledger.pool.tables import user_namespaces
from spawner.ledger.transitions import touch

_ALL = select(user_namespaces).order_by(user_namespaces.c.flavor, user_namespaces.c.node)


@dataclass(frozen=True)
class NodeSupport:
    """What came of it on one node, with pods of one flavor. `detail`: why it did not work."""

    flavor: str
    node: str
    works: bool
    detail: str
    noted_at: datetime


def note(connection: Connection, tried: NodeSupport) -> None:
    """Write it down, in place of what was known of this flavor and node."""
    is_this = (user_namespaces.c.flavor == tried.flavor) & (user_namespaces.c.node == tried.node)
    values = {"works": tried.works, "detail": tried.detail, "noted_at": tried.noted_at}
    if rows_changed(connection.execute(update(user_namespaces).where(is_this).values(**values))) != 1:
        connection.execute(insert(user_namespaces).values(flavor=tried.flavor, node=tried.node, **values))
    touch(connection)


def all_of(connection: Connection) -> list[NodeSupport]:
    """Everything that is known."""
    return [NodeSupport(**row._mapping) for row in connection.execute(_ALL)]


def prune(connection: Connection, *, before: datetime) -> int:
    """Forget what was last seen before a time: nodes come and go. Returns how many."""
    return connection.execute(delete(user_namespaces).where(user_namespaces.c.noted_at < before)).rowcount
