"""A ledger and a cloud of its own for each test of the paid path."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from spawner.ledger import open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from tests.cloud.steer import Steer, cloud_in_thread
from tests.paid.make import NOW
from tests.paid.world import World


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to be copied, which is faster than to migrate again."""
    path = tmp_path_factory.mktemp("ledger") / "migrated.sqlite"
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture
def cloud() -> Iterator[Steer]:
    """A stand-in whose time stands still."""
    with cloud_in_thread(start=NOW) as steer:
        yield steer


@pytest.fixture
async def world(cloud: Steer, migrated: Path, tmp_path: Path) -> AsyncIterator[World]:
    """All of it."""
    ledger = open_ledger(f"sqlite:///{shutil.copy(migrated, tmp_path / 'ledger.sqlite')}")
    made = World(ledger, cloud, tmp_path)
    yield made
    await made.close()
    ledger.close()
