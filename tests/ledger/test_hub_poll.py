"""A hub that cannot read the row of a running server does not take it for stopped."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from spawner.errors import CatalogInvalid, LedgerUnusable
from spawner.hub.refusal import SpawnRefused
from spawner.hub.spawner import InstanceSpawner
from spawner.ledger import Instance, Ledger
from spawner.pool.pool import Pool, Server
from tests.ledger.running import pool_on, run_instance


def spawner_of(pool: Pool, instance: Instance, *, failed: bool = False) -> Any:
    """The parts of a spawner that `poll` uses."""

    async def pool_server() -> Server:
        return Server(instance.person_id, instance.user_name, instance.server_name)

    async def not_surely() -> bool:
        return False

    log = logging.getLogger("freepool.hub")
    return SimpleNamespace(
        _is_surely_running=not_surely,
        is_paid=False,
        pool=pool,
        pool_server=pool_server,
        slot_id="s1",
        log=log,
        _log_name="ann",
        _last_start_failed=failed,
    )


async def test_a_row_of_a_newer_version_means_unknown(ledger: Ledger) -> None:
    spawner = spawner_of(pool_on(ledger), run_instance(ledger))
    ledger.write(lambda connection: connection.execute(text("UPDATE instances SET state = 'suspended'")))
    with pytest.raises(ValueError, match="suspended"):
        await spawner.pool.is_running(await spawner.pool_server())
    assert await InstanceSpawner.poll(spawner) is None


async def test_a_paid_server_is_unknown_while_the_ledger_cannot_be_opened() -> None:
    async def paid_server() -> None:
        raise LedgerUnusable("The database is not responding: refused.")

    log = logging.getLogger("freepool.hub")
    spawner: Any = SimpleNamespace(
        is_paid=True, paid_server=paid_server, log=log, _log_name="ann:paid-1", _last_start_failed=True
    )
    assert await InstanceSpawner.poll(spawner) is None, "its machine may be running, and is paid for"


async def test_a_server_whose_start_failed_does_not_count_as_running(ledger: Ledger) -> None:
    spawner = spawner_of(pool_on(ledger), run_instance(ledger), failed=True)

    async def broken() -> Server:
        raise CatalogInvalid("/etc/freepool/catalog.yaml", ["line 1: wrong"])

    spawner.pool_server = broken
    assert await InstanceSpawner.poll(spawner) == 0


async def test_stop_never_raises_where_a_hub_has_no_pool() -> None:
    class Broken(SimpleNamespace):
        @property
        def pool(self) -> Pool:
            raise CatalogInvalid("/etc/freepool/catalog.yaml", ["line 1: wrong"])

    spawner: Any = Broken(log=logging.getLogger("freepool.hub"), _log_name="ann")
    await InstanceSpawner.stop(spawner)


async def test_a_start_that_the_installation_breaks_shows_no_path_of_it(ledger: Ledger) -> None:
    spawner = spawner_of(pool_on(ledger), run_instance(ledger))

    async def person(*, again: bool) -> None:
        assert again
        raise CatalogInvalid("/etc/freepool/catalog.yaml", ["line 1: wrong"])

    spawner.person, spawner._forget_options = person, lambda: None
    spawner._start = lambda: InstanceSpawner._start(spawner)
    with pytest.raises(SpawnRefused) as refused:
        await InstanceSpawner.start(spawner)
    assert "/etc" not in str(refused.value) + str(vars(refused.value))
    assert spawner._last_start_failed
