"""A hub that cannot read the row of a running server does not take it for stopped."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from spawner.errors import LedgerUnusable
from spawner.hub.spawner import InstanceSpawner
from spawner.ledger import Instance, Ledger
from spawner.pool.pool import Pool, Server
from tests.ledger.running import pool_on, run_instance


def spawner_of(pool: Pool, instance: Instance) -> Any:
    """The parts of a spawner that `poll` uses."""

    async def pool_server() -> Server:
        return Server(instance.person_id, instance.user_name, instance.server_name)

    log = logging.getLogger("freepool.hub")
    return SimpleNamespace(is_paid=False, pool=pool, pool_server=pool_server, slot_id="s1", log=log, _log_name="ann")


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
    spawner: Any = SimpleNamespace(is_paid=True, paid_server=paid_server, log=log, _log_name="ann:paid-1")
    assert await InstanceSpawner.poll(spawner) is None
