"""Which Kubernetes nodes ran pods in user namespaces, and which could not."""

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
    """Whether pods of a flavor got user namespaces on a node. `detail`: the error where they did not."""

    flavor: str
    node: str
    works: bool
    detail: str
    noted_at: datetime


def note(connection: Connection, tried: NodeSupport) -> None:
    """Insert or replace the row of this flavor and node."""
    is_this = (user_namespaces.c.flavor == tried.flavor) & (user_namespaces.c.node == tried.node)
    values = {"works": tried.works, "detail": tried.detail, "noted_at": tried.noted_at}
    if rows_changed(connection.execute(update(user_namespaces).where(is_this).values(**values))) != 1:
        connection.execute(insert(user_namespaces).values(flavor=tried.flavor, node=tried.node, **values))
    touch(connection)


def all_of(connection: Connection) -> list[NodeSupport]:
    """All rows, by flavor and node."""
    return [NodeSupport(**row._mapping) for row in connection.execute(_ALL)]


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete rows older than a time, because nodes come and go. Returns how many."""
    return connection.execute(delete(user_namespaces).where(user_namespaces.c.noted_at < before)).rowcount
