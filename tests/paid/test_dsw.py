"""PAI-DSW beyond the contract: states, prices, lists, auto-stop and hanging reads."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from spawner.paid.money import Money
from spawner.paid.providers import base
from spawner.paid.providers.base import Account, RemoteState
from spawner.paid.providers.dsw.provider import DswProvider
from tests.cloud.steer import Steer
from tests.paid.dsw import REQUEST, dsw_settings, linked


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Queuing", RemoteState.PROVISIONING),
        ("Recovering", RemoteState.PROVISIONING),
        ("Saving", RemoteState.RUNNING),
        ("SaveFailed", RemoteState.RUNNING),
        ("Updating", RemoteState.RUNNING),
        ("ArrearStopping", RemoteState.STOPPING),
        ("Arrearge", RemoteState.UNKNOWN),
        ("Hibernating", RemoteState.UNKNOWN),
    ],
)
async def test_every_status_has_a_state_and_counts_as_billed(
    cloud: Steer, dsw: DswProvider, status: str, state: RemoteState
) -> None:
    """The cloud's own status and reason are kept."""
    account = linked(cloud)
    remote_id = await dsw.create(account, REQUEST)
    cloud.advance(60)
    cloud.console(remote_id, "status", status=status, code="Odd", message="something")
    seen = await dsw.describe(account, remote_id)
    assert (seen.state, seen.raw_state, seen.reason, seen.may_bill) == (state, status, "Odd: something", True)


async def test_prices_are_exact_or_absent(cloud: Steer, dsw: DswProvider) -> None:
    """A price without a currency counts as absent; `available` is the cloud's answer."""
    cloud.instance_type("ecs.g6.large", price="0.1")
    cloud.instance_type("ecs.g6.xlarge", price=None)
    cloud.instance_type("ecs.g6.4xlarge", currency="")
    instance_types = {offered.id: offered for offered in await dsw.instance_types(linked(cloud))}
    assert instance_types["ecs.g6.large"].price == Money(Decimal("0.1"), "CNY")
    assert instance_types["ecs.g6.xlarge"].price is None
    assert instance_types["ecs.g6.4xlarge"].price is None
    assert instance_types["ecs.gn7i-c16g1.4xlarge"].available is False
    assert instance_types["ecs.gn6v-c8g1.2xlarge"].gpu_memory == 16 * 1024**3


@pytest.mark.parametrize("replaces", [False, True])
async def test_a_second_auto_stop_replaces_the_first(cloud: Steer, dsw: DswProvider, replaces: bool) -> None:
    """Whether or not the cloud accepts a second timer."""
    cloud.quirk(timer_replaces=replaces)
    account = linked(cloud)
    remote_id = await dsw.create(account, REQUEST)
    for seconds in (7200, 600):
        await dsw.set_auto_stop(account, remote_id, stop_in=seconds, idle=1800)
    cloud.advance(620)
    assert (await dsw.describe(account, remote_id)).state is RemoteState.STOPPED


async def test_an_instance_hidden_from_lists_is_described_but_not_found(cloud: Steer, dsw: DswProvider) -> None:
    """The caller compares both, to detect such a workspace."""
    account = linked(cloud)
    cloud.account(sees_own=False)
    remote_id = await dsw.create(account, REQUEST)
    assert await dsw.find(account, REQUEST.name) is None
    assert (await dsw.describe(account, remote_id)).name == REQUEST.name


async def test_find_covers_all_workspaces(cloud: Steer, dsw: DswProvider) -> None:
    cloud.account(workspaces={"1": "default", "2": "freepool"})
    account = linked(cloud)
    other_workspace = Account(**{**account.__dict__, "workspace": "2"})
    await dsw.create(other_workspace, REQUEST)
    found = await dsw.find(account, REQUEST.name)
    assert found is not None
    assert cloud.instance(found.id)["workspace"] == "2"


async def test_hanging_reads_do_not_delay_a_stop(cloud: Steer, tmp_path: Path) -> None:
    provider = DswProvider(dsw_settings(cloud, tmp_path, readers=2))
    account = linked(cloud)
    remote_id = await provider.create(account, REQUEST)
    await provider.describe(account, remote_id)
    cloud.fault("GetInstance", "hang_before", seconds=5, times=8)
    reads = [asyncio.create_task(provider.describe(account, remote_id)) for _ in range(8)]
    await asyncio.sleep(0.1)
    await asyncio.wait_for(provider.stop(account, remote_id), 0.9)
    assert not any(read.done() for read in reads)
    for outcome in await asyncio.gather(*reads, return_exceptions=True):
        assert isinstance(outcome, base.Unavailable)
    await provider.close()


async def test_the_time_of_auto_stop_is_in_our_clock(cloud: Steer, tmp_path: Path) -> None:
    """Not in the cloud's, which may differ."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    provider = DswProvider(dsw_settings(cloud, tmp_path), now=lambda: now)
    account = linked(cloud)
    remote_id = await provider.create(account, REQUEST)
    await provider.set_auto_stop(account, remote_id, stop_in=600, idle=None)
    stops_at = (await provider.describe(account, remote_id)).stops_at
    assert stops_at is not None
    assert (stops_at - now).total_seconds() == 600
    await provider.close()
