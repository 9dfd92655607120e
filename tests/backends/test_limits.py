"""Limits of an instance, and the wipe of all that it wrote: tried from inside a claimed slot."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Any

import aiohttp
import psutil
import pytest

from spawner.instance.features import WORKSPACE, place_sizes
from spawner.ledger.pool.rows import EndReason
from spawner.pool.backends.base import Phase
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.sandbox import HOME
from tests.backends import canary, machine
from tests.backends.conformance import SMALL, spec
from tests.backends.notebook import KernelDied, Notebook, assigned, eventually
from tests.backends.two_tenants import WRITABLE, TwoTenants

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024**2
SIZES = place_sizes(memory=int(SMALL.memory), disk=int(SMALL.disk)).by_path(HOME)


async def test_a_full_workspace_holds_the_flavors_disk_and_the_instance_goes_on(alice: Notebook) -> None:
    written = await _fill(alice, WORKSPACE)
    assert 0.9 * int(SMALL.disk) <= written <= int(SMALL.disk)
    assert await alice.ask("1 + 1") == 2


async def _fill(notebook: Notebook, folder: str) -> int:
    """Write until nothing fits, remove it again; how many bytes fit."""
    size = await notebook.ask(
        "size",
        setup=f"""
        import errno, os
        size = 0
        with open('{folder}/filler', 'wb', buffering=0) as stream:
            try:
                while True:
                    size += stream.write(b'x' * 65536)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
        os.unlink('{folder}/filler')
        """,
    )
    assert isinstance(size, int)
    return size


@pytest.mark.parametrize("folder", sorted(WRITABLE - {WORKSPACE}))
async def test_the_other_folders_are_limited(folder: str, alice: Notebook) -> None:
    assert 0.9 * SIZES[folder] <= await _fill(alice, folder) <= SIZES[folder]
    assert await alice.ask("1 + 1") == 2


SHELLS = "[each for each in os.listdir('/proc') if each.isdigit() and open(f'/proc/{each}/comm').read() == 'bash\\n']"
SCORES = "[int(open(f'/proc/{each}/oom_score_adj').read()) for each in (os.getppid(), os.getpid(), SHELLS[0])]"


@pytest.mark.parametrize("step", [4, 256], ids=["slowly", "faster than it is looked at"])
async def test_a_kernel_that_takes_all_memory_is_ended_alone(step: int, tenants: TwoTenants) -> None:
    async with assigned(tenants.backend, tenants.session, tenants.hub, spec(), "mallory") as mallory:
        allowed = int(SMALL.memory) + int(SMALL.disk)
        assert (await mallory.call("POST", "terminals"))[0] == 200
        before = await mallory.ask("kept", setup=f"import os\nkept = SHELLS = {SHELLS}")
        first = mallory.kernel
        await eventually(lambda: _is_preferred(mallory))
        mallory.kernel = ""
        with pytest.raises(KernelDied):
            await mallory.run(
                f"""
                held = []
                while True:
                    held.append(bytearray(b'x') * ({step} << 20))
                    open('/mnt/workspace/held', 'w').write(str(len(held) * {step}))
                """
            )
        mallory.kernel = first
        assert before
        assert await mallory.ask("kept") == before == await mallory.ask(SHELLS)
        held = int(await mallory.ask("open('/mnt/workspace/held').read()")) * MIB
        assert allowed * 0.15 < held < allowed
        ended = await eventually(lambda: _ended_kernels(mallory))
        assert [one["limit"] for one in ended] == [int(SMALL.memory)], "what the machine type says, without the disk"
        assert ended[0]["used"] >= 0.9 * int(SMALL.memory)
        assert await mallory.is_well()
        assert (await tenants.backend.list())[mallory.slot_id].phase is Phase.READY
    assert await tenants.bob.ask("1 + 1") == 2


async def _is_preferred(notebook: Notebook) -> bool:
    """Whether the operating system would end kernel and terminal before the server."""
    server, *others = await notebook.ask(SCORES)
    return all(score > server for score in others)


async def _ended_kernels(notebook: Notebook) -> list[dict[str, Any]]:
    return list((await _usage(notebook))["ended_kernels"])


async def _usage(notebook: Notebook) -> dict[str, Any]:
    headers = {"Authorization": f"token {notebook.token}"}
    async with notebook.session.get(f"{notebook.url}freepool/usage", headers=headers) as answer:
        assert answer.status == 200
        return dict(await answer.json())


async def test_usage_is_that_of_the_instance_and_not_of_the_machine(alice: Notebook) -> None:
    await alice.run("open('/mnt/workspace/filler', 'wb').write(b'x' * (32 << 20))")
    full = await _usage(alice)
    await alice.run("import os; os.unlink('/mnt/workspace/filler')")
    empty = await _usage(alice)
    assert full["disk"]["limit"] == int(SMALL.disk)
    assert 32 * MIB <= full["disk"]["used"] < 33 * MIB
    assert empty["disk"]["used"] < MIB
    assert empty["memory"]["limit"] == full["memory"]["limit"] == int(SMALL.memory)
    assert 40 * MIB < full["memory"]["used"] < empty["memory"]["used"] + 16 * MIB, "files are not counted twice"
    assert full["cpu"]["limit"] == SMALL.cpu
    assert 0 <= full["cpu"]["percent"] <= 100


async def test_processes_are_limited_and_another_instance_goes_on(tenants: TwoTenants) -> None:
    async with assigned(tenants.backend, tenants.session, tenants.hub, spec(), "mallory") as mallory:
        await mallory.open_kernel()
        filling = asyncio.create_task(
            mallory.ask(
                "len(children)",
                setup="""
                import os, signal, time
                children = []
                for _ in range(2000):
                    try:
                        child = os.fork()
                    except OSError:
                        break
                    if child == 0:
                        time.sleep(100)
                        os._exit(0)
                    children.append(child)
                time.sleep(3)
                for child in children:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                """,
            )
        )
        inside = await eventually(lambda: _crowd(tenants.backend, mallory.slot_id))
        assert len(inside) <= SMALL.processes + 1
        assert await tenants.bob.ask("__import__('subprocess').run(['true']).returncode") == 0
        assert 20 < await filling < SMALL.processes
        assert await mallory.is_well()
        # A fork bomb that cannot be stopped from inside ends with its instance.
        bomb = "(b() { b | b & }; b) >/dev/null 2>&1 &"
        await mallory.run(f"import subprocess; subprocess.Popen(['bash', '-c', {bomb!r}], start_new_session=True)")
        assert await tenants.bob.ask("1 + 1") == 2
        assert (await tenants.backend.list())[mallory.slot_id].phase is Phase.READY
        inside = machine.processes_of(tenants.backend.folder, mallory.slot_id)
    assert machine.gone(inside)


async def _crowd(backend: LocalBackend, slot_id: str) -> list[psutil.Process]:
    found = machine.processes_of(backend.folder, slot_id)
    return found if len(found) > SMALL.processes // 2 else []


async def test_printed_output_does_not_fill_the_hosts_disk(tenants: TwoTenants) -> None:
    """A kernel's own output goes to its notebook, but it can find the server's, which goes to a file outside."""
    await tenants.alice.run(
        """
        import os
        for descriptor in map(int, os.listdir('/proc/self/fd')):
            try:
                if os.readlink(f'/proc/self/fd/{descriptor}').startswith(('pipe:', '/')) and descriptor > 0:
                    os.set_blocking(descriptor, False)
                    for _ in range(200):
                        try:
                            os.write(descriptor, b'x' * 65536)
                        except BlockingIOError:
                            pass
            except OSError:
                pass
        """
    )
    assert (tenants.backend.folder / tenants.specs["alice"].id / "log").stat().st_size < 2 * MIB


async def test_an_instance_that_kills_itself_is_reported_dead(tenants: TwoTenants) -> None:
    async with assigned(tenants.backend, tenants.session, tenants.hub, spec(), "mallory") as mallory:
        with pytest.raises((KernelDied, aiohttp.ClientError)):
            await mallory.run("import os, signal; os.kill(-1, signal.SIGKILL)", seconds=20)
        found = await eventually(lambda: _status(tenants.backend, mallory.slot_id, Phase.DEAD))
        assert found.reason is EndReason.CRASHED


async def _status(backend: LocalBackend, slot_id: str, phase: Phase) -> object:
    status = (await backend.list()).get(slot_id)
    return status if status and status.phase is phase else None


async def test_nothing_of_an_instance_is_left_for_the_next(tenants: TwoTenants) -> None:
    """A canary in every writable place, a process that wants to stay, a port that listens: all gone, same id or not."""
    wanted = spec()
    async with assigned(tenants.backend, tenants.session, tenants.hub, wanted, "mallory") as mallory:
        planted = await canary.plant(mallory)
        assert planted.mounts == WRITABLE
        assert machine.mentioned(planted.canary), "the process that wants to stay is there"
        inside = machine.processes_of(tenants.backend.folder, wanted.id)
    assert machine.gone(inside, seconds=1)
    assert machine.mentioned(planted.canary) == []
    assert machine.groups_of(wanted.id) == []
    async with assigned(
        tenants.backend, tenants.session, tenants.hub, replace(wanted, key=secrets.token_bytes(32)), "carol"
    ) as carol:
        assert await canary.search(carol, planted) == []
