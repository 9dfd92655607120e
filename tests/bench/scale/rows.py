"""Rows of a large platform: accounts and running servers in JupyterHub's tables, people and instances in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.utils import hash_token, isoformat
from sqlalchemy import Connection, Engine, create_engine, select, text, update

from spawner.ledger.people.rows import TrustClass
from spawner.ledger.people.tables import people
from spawner.ledger.pool.rows import InstanceState
from spawner.ledger.pool.tables import instances
from tests.bench.scale.pool import ASSIGNED
from tests.ledger import many

LONG = timedelta(hours=8)


@dataclass(frozen=True)
class Size:
    """How large the platform is. `desks` are open pages."""

    accounts: int
    running: int
    waiting: int
    past: int
    desks: int


def token_of(number: int) -> str:
    """The API token of an account."""
    return f"{number:06x}" + "bench" * 5


def fill_hub(engine: Engine, size: Size, port: int, now: datetime) -> None:
    """Accounts p0, p1, …; the first `running` of them have a server."""
    created = now.replace(tzinfo=None)
    with engine.begin() as connection:
        role = connection.execute(text("SELECT id FROM roles WHERE name = 'user'")).scalar_one()
        roles = orm.Base.metadata.tables["user_role_map"]
        ids = range(1000, 1000 + size.accounts)
        tables: list[tuple[Any, Iterator[dict[str, Any]]]] = [
            (
                orm.User.__table__,
                ({"id": one, "name": f"p{one - 1000}", "admin": False, "created": created, "last_activity": created,
                  "cookie_id": f"c{one}", "user_info": None, "encrypted_auth_state": None} for one in ids),
            ),
            (roles, ({"user_id": one, "role_id": role} for one in ids)),
            (
                orm.Server.__table__,
                ({"id": 1000 + n, "proto": "http", "ip": "127.0.0.1", "port": port, "base_url": f"/user/p{n}/",
                  "cookie_name": "c"} for n in range(size.running)),
            ),
            (
                orm.Spawner.__table__,
                ({"id": 1000 + n, "user_id": 1000 + n, "server_id": 1000 + n, "name": "", "state": {},
                  "started": created, "last_activity": created, "user_options": {}} for n in range(size.running)),
            ),
            (
                orm.APIToken.__table__,
                ({"user_id": 1000 + n, "hashed": hash_token(token_of(n), rounds=1, salt=8, algorithm="sha512"),
                  "prefix": token_of(n)[:4], "client_id": "jupyterhub", "scopes": ["inherit"], "note": "bench",
                  "created": created, "session_id": None} for n in range(size.desks)),
            ),
        ]  # fmt: skip
        for table, rows in tables:
            _write(connection, table, rows)


def fill_ledger(connection: Connection, size: Size, now: datetime, address: str) -> None:
    """People of all accounts; past and running instances, and a queue."""
    many.fill(connection, size.past, running=size.running, waiting=size.waiting, now=now)
    running = update(instances).where(instances.c.state == InstanceState.RUNNING)
    connection.execute(running.values(ends_at=now + LONG, hub_epoch="old", url=address))
    since = isoformat(now.replace(tzinfo=None))
    _write(
        connection,
        people,
        (
            {"id": f"p{n}", "hub_name": f"p{n}", "hub_id": 1000 + n, "hub_since": since, "created_at": now,
             "issuer": None, "identity": None, "trust": TrustClass.KNOWN}
            for n in range(size.accounts)
        ),
    )  # fmt: skip


def make_slots(folder: Path, connection: Connection) -> None:
    """The files of the slots that run."""
    folder.mkdir(exist_ok=True)
    running = select(instances.c.slot_id).where(instances.c.state == InstanceState.RUNNING)
    for slot_id in connection.execute(running).scalars():
        (folder / f"{slot_id}{ASSIGNED}").touch()


def _write(connection: Connection, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    many.write(connection, table, rows)


def hub_engine(url: str) -> Engine:
    """Of JupyterHub's own database."""
    return create_engine(url)
