"""Stand-in clouds, providers, and the whole paid path on one of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import pytest_asyncio
from darabonba.core import DEFAULT_POOL_MAXSIZE, DEFAULT_POOL_SIZE, DaraCore
from requests.adapters import HTTPAdapter

from spawner.ledger import open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.paid.providers.dsw.provider import DswProvider
from tests.cloud.steer import Steer, cloud_in_thread, cloud_process
from tests.paid import aws
from tests.paid.aws import Moto
from tests.paid.dsw import dsw_settings
from tests.paid.make import NOW
from tests.paid.rigs import Rig, rig_for
from tests.paid.world import World


@pytest.fixture(scope="session", autouse=True)
def no_certificates() -> Iterator[None]:
    """The SDK reads all certificates of the system for each new connection pool, for one of plain HTTP, too: 25 ms."""
    plain = partial(HTTPAdapter, pool_connections=DEFAULT_POOL_SIZE, pool_maxsize=DEFAULT_POOL_MAXSIZE)
    its_own = DaraCore.get_adapter

    def adapter(protocol: str, *args: Any, **options: Any) -> HTTPAdapter:
        return plain() if protocol == "http" else its_own(protocol, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DaraCore, "get_adapter", staticmethod(adapter))
        yield


@pytest.fixture
def cloud() -> Iterator[Steer]:
    """A stand-in for Alibaba Cloud with virtual time."""
    with cloud_in_thread() as steer:
        yield steer


@pytest.fixture
def cloud_apart(tmp_path: Path) -> Iterator[Steer]:
    """The stand-in in a process of its own, for measurements of our event loop."""
    with cloud_process(tmp_path) as steer:
        yield steer


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """moto's server."""
    with aws.moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def models() -> object:
    """boto3's models, which take longer to read than most tests."""
    return botocore.session.Session()


@pytest_asyncio.fixture
async def dsw(cloud: Steer, tmp_path: Path) -> AsyncIterator[DswProvider]:
    """A provider for the stand-in."""
    provider = DswProvider(dsw_settings(cloud, tmp_path))
    yield provider
    await provider.close()


@pytest_asyncio.fixture(params=["dsw", "sagemaker"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """Each provider with its cloud."""
    async with rig_for(request.param, request, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated ledger to copy, which is faster than another migration."""
    path = tmp_path_factory.mktemp("ledger") / "migrated.sqlite"
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest_asyncio.fixture
async def world(migrated: Path, tmp_path: Path) -> AsyncIterator[World]:
    """Ledger, cloud, users and a steward, in virtual time."""
    with cloud_in_thread(start=NOW) as cloud:
        ledger = open_ledger(f"sqlite:///{shutil.copy(migrated, tmp_path / 'ledger.sqlite')}")
        made = World(ledger, cloud, tmp_path)
        yield made
        await made.close()
        ledger.close()
