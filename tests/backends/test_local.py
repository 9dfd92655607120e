"""The local backend: the conformance suite, and what this machine in particular must keep."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from spawner.errors import BackendUnavailable, SlotFailed
from spawner.ledger.pool.rows import EndReason
from spawner.pool.backends.base import Backend, Phase, Unavailable
from spawner.pool.backends.local import network
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.keeper import FIRST_TO_GO
from spawner.pool.backends.local.means import find_means
from spawner.pool.backends.local.network import Means, Network
from spawner.pool.build import utc_now
from tests.backends import machine
from tests.backends.conformance import (
    SMALL,
    BackendConformance,
    dead,
    destroy,
    image,
    ready,
    slot,
    spec,
    wait,
)
from tests.backends.conftest import EXAMPLES, as_root, local_backend
from tests.lean import make_images
from tests.stack import PROJECT


@pytest_asyncio.fixture
async def backend(slots_folder: Path, images: Path) -> AsyncIterator[LocalBackend]:
    """An empty pool on this machine."""
    async with emptied(local_backend(slots_folder, images)) as made:
        yield made


@asynccontextmanager
async def emptied(backend: LocalBackend) -> AsyncIterator[LocalBackend]:
    """Its slots are destroyed afterwards."""
    yield backend
    for slot_id in await backend.list():
        await destroy(backend, slot_id)


@pytest.fixture(scope="module")
def lean_images(images: Path) -> Iterator[Path]:
    """The images of this machine, with a lean environment in place of the real one."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-images-"))
    lean = make_images(folder / "made") / "lean"
    for one in images.iterdir():
        (folder / one.name).symlink_to(lean if one.name == "light" else one)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


class TestLocalBackend(BackendConformance):
    """The contract. What the slots run is a lean notebook: `test_isolation` and others have the real one."""

    @pytest_asyncio.fixture
    async def backend(self, slots_folder: Path, lean_images: Path) -> AsyncIterator[LocalBackend]:
        """An empty pool on this machine."""
        async with emptied(local_backend(slots_folder, lean_images)) as made:
            yield made

    @pytest.fixture
    def other(self, slots_folder: Path, lean_images: Path) -> LocalBackend:
        """A second object on the same folder."""
        return local_backend(slots_folder, lean_images)

    async def gone(self, backend: Backend, slot_id: str, url: str | None) -> None:
        """No folder, no process, no group, and the port is free."""
        await super().gone(backend, slot_id, url)
        assert isinstance(backend, LocalBackend)
        assert [path.name for path in backend.folder.iterdir() if slot_id in path.name] == []
        assert machine.mentioned(slot_id) == []
        assert machine.groups_of(slot_id) == []
        if url is not None:
            assert machine.can_bind(url)


def quick() -> str:
    """The image that is warm at once, where the notebook itself does not matter."""
    return "quick"


async def test_destroying_ends_every_process_of_the_slot(backend: LocalBackend) -> None:
    wanted = spec()
    async with slot(backend, wanted):
        processes = machine.processes_of(backend.folder, wanted.id)
        assert len(processes) >= 3
    assert machine.gone(processes, seconds=0.5)


async def test_when_the_keeper_is_killed_its_slot_is_dead_and_nothing_of_it_runs_on(backend: LocalBackend) -> None:
    wanted = spec(quick())
    async with slot(backend, wanted) as status:
        processes = machine.processes_of(backend.folder, wanted.id)
        machine.keeper_of(backend.folder, wanted.id).kill()
        found = await dead(backend, wanted.id)
        assert found.reason is EndReason.LOST
        assert machine.gone(processes)
        assert status.url is not None
        assert machine.can_bind(status.url)
    assert list(backend.folder.iterdir()) == []
    assert machine.groups_of(wanted.id) == []


async def test_when_the_agent_dies_the_slot_is_dead_and_its_port_stays_reserved(backend: LocalBackend) -> None:
    wanted = spec(quick())
    async with slot(backend, wanted) as status:
        assert status.url is not None
        *_, inside = machine.inside_of(backend.folder, wanted.id)
        before = utc_now()
        inside.kill()
        found = await dead(backend, wanted.id)
        assert found.died_at is not None
        assert before <= found.died_at <= utc_now()
        assert found.reason is EndReason.CRASHED
        assert found.detail == "exit code 137"
        assert found.url == status.url
        assert not machine.can_bind(status.url), "a neighbour could receive this user's requests"
        keeper = machine.keeper_of(backend.folder, wanted.id)
        async with asyncio.timeout(10):  # the slot is dead before the keeper has reaped all that ended with it
            while machine.processes_of(backend.folder, wanted.id) != [keeper]:
                await asyncio.sleep(0.02)
    assert machine.can_bind(status.url)


async def test_an_agent_that_dies_before_it_is_warm_has_failed_to_start(backend: LocalBackend) -> None:
    wanted = spec("broken")
    await backend.create(wanted)
    found = await dead(backend, wanted.id)
    assert (found.reason, found.detail) == (EndReason.START_FAILED, "exit code 7: these are my last words")


async def test_an_image_without_an_interpreter_has_failed_to_start(backend: LocalBackend) -> None:
    wanted = spec("empty")
    await backend.create(wanted)
    found = await dead(backend, wanted.id)
    assert found.reason is EndReason.START_FAILED
    assert "No such file or directory" in found.detail
    assert "python" in found.detail


async def test_slots_outlive_the_process_that_made_them(slots_folder: Path, images: Path) -> None:
    """And any other process lists the same."""
    script = f"""
import asyncio, sys
from pathlib import Path
from tests.backends.conftest import local_backend
from tests.backends.conformance import ready, spec
from dataclasses import replace
async def main():
    backend = local_backend(Path({str(slots_folder)!r}), Path({str(images)!r}))
    wanted = replace(spec("quick"), id="outlives")
    await backend.create(wanted)
    await ready(backend, wanted.id)
    print(await backend.list())
asyncio.run(main())
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    backend = local_backend(slots_folder, images)
    found = await backend.list()
    assert done.stdout.strip() == str(found)
    assert found["outlives"].phase is Phase.READY
    await backend.destroy("outlives")
    assert await backend.list() == {}


async def test_a_slot_can_be_destroyed_as_soon_as_it_was_created(backend: LocalBackend) -> None:
    wanted = spec(quick())
    await backend.create(wanted)
    await backend.destroy(wanted.id)
    assert list(backend.folder.iterdir()) == []
    assert machine.mentioned(wanted.id) == []


async def test_a_keeper_that_hangs_is_killed_with_its_slot(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawner.pool.backends.local.keeper_process.DESTROY_SECONDS", 0.5)
    wanted = spec(quick())
    await backend.create(wanted)
    await ready(backend, wanted.id)
    processes = machine.processes_of(backend.folder, wanted.id)
    processes[0].suspend()
    await destroy(backend, wanted.id)
    assert machine.gone(processes)
    assert list(backend.folder.iterdir()) == []
    assert machine.groups_of(wanted.id) == []


async def test_a_slot_whose_folder_was_removed_ends_itself(backend: LocalBackend) -> None:
    """`rm -rf` of a state folder must not leave users' programs running, which no process could find any more."""
    wanted = spec(quick())
    await backend.create(wanted)
    await ready(backend, wanted.id)
    processes = machine.processes_of(backend.folder, wanted.id)
    shutil.rmtree(backend.folder / wanted.id)
    assert machine.gone(processes, seconds=30)
    assert machine.groups_of(wanted.id) == []


async def test_output_of_an_instance_does_not_fill_the_hosts_disk(backend: LocalBackend) -> None:
    wanted = spec("chatty")
    await backend.create(wanted)
    found = await dead(backend, wanted.id)
    written = sum(path.stat().st_size for path in (backend.folder / wanted.id).iterdir())
    assert 1024**2 <= written < 2 * 1024**2, "the beginning is kept"
    assert found.detail == "exit code 1: the end"


async def test_the_slots_folder_is_not_readable_by_other_users(backend: LocalBackend) -> None:
    """Neither for instances, which run as other users, nor for other users of this machine."""
    wanted = spec(quick())
    async with slot(backend, wanted):
        assert backend.folder.stat().st_mode & 0o077 == 0
        for path in (backend.folder / wanted.id).iterdir():
            assert wanted.key.hex() not in path.read_text(errors="replace")
        for process in machine.processes_of(backend.folder, wanted.id):
            assert wanted.key.hex() not in " ".join(process.cmdline())
            assert wanted.key.hex() not in str(process.environ())


async def test_users_of_two_slots_are_not_the_same(backend: LocalBackend) -> None:
    one, two = spec(quick()), spec(quick())
    async with slot(backend, one), slot(backend, two):
        users = {machine.inside_of(backend.folder, each.id)[-1].uids().real for each in (one, two)}
        assert len(users) == (2 if os.geteuid() == 0 else 1)
        assert 0 not in users


async def test_strange_files_among_the_slots_do_no_harm(backend: LocalBackend) -> None:
    (backend.folder / "file").write_text("x")
    (backend.folder / ".draft.123").mkdir()
    for name, text in (("rubbish", "{"), ("list", "[]"), ("dead", '{"phase": "ready", "pid": 1, "port": 1}')):
        (backend.folder / name).mkdir()
        (backend.folder / name / "status.json").write_text(text)
    found = await backend.list()
    assert {name: status.phase for name, status in found.items()} == dict.fromkeys(
        ("rubbish", "list", "dead"), Phase.DEAD
    )
    for name in found:
        await backend.destroy(name)
    assert await backend.list() == {}
    (backend.folder / ".draft.123").rmdir()


async def test_a_folder_that_cannot_be_read_is_unknown_and_not_empty(backend: LocalBackend) -> None:
    backend.folder.rename(backend.folder.with_name("away"))
    with pytest.raises(BackendUnavailable, match=r"The folder of slots cannot be read: No such file"):
        await backend.list()
    backend.folder.with_name("away").rename(backend.folder)
    assert await backend.list() == {}


def test_too_little_memory_and_missing_images_are_reported(backend: LocalBackend) -> None:
    large = SMALL.model_copy(update={"memory": 5 * 1024**3})
    assert backend.why_not(large) is Unavailable.TOO_LITTLE_MEMORY
    assert backend.why_not(large.model_copy(update={"reserve": 1024**3})) is None
    assert backend.why_not(SMALL, image("nowhere")) is Unavailable.NOT_INSTALLED


# The network


@pytest.mark.parametrize("kind", [Means.PASTA, Means.SLIRP])
async def test_a_slot_whose_network_cannot_be_made_has_failed_to_start_and_leaves_nothing(
    kind: Means, slots_folder: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never starts with the machine's own network instead."""
    real = network.find_program
    monkeypatch.setattr(network, "find_program", lambda name: real(name) if name == "nft" else "/bin/false")
    backend = LocalBackend(folder=slots_folder, images=images, examples=EXAMPLES, network=Network(means=kind))
    wanted = spec(quick())
    await backend.create(wanted)
    found = await dead(backend, wanted.id)
    assert (found.reason, found.detail) == (EndReason.START_FAILED, f"{kind} does not start")
    assert machine.inside_of(backend.folder, wanted.id) == []
    await destroy(backend, wanted.id)
    assert machine.mentioned(wanted.id) == []
    assert machine.groups_of(wanted.id) == []


@pytest.mark.parametrize("kind", [Means.PASTA, Means.SLIRP])
async def test_the_program_for_the_internet_ends_with_its_keeper(kind: Means, slots_folder: Path, images: Path) -> None:
    """Also where a keeper is killed, which can end nothing itself, and where no control group names its processes."""
    if network.find_program(kind.value) is None or find_means(internet=True)[0] in (Means.CLOSED, Means.SHARED):
        pytest.skip(f"{kind} does not work here")
    backend = LocalBackend(folder=slots_folder, images=images, examples=EXAMPLES, network=Network(means=kind))
    backend._groups = None
    wanted = spec(quick())
    await backend.create(wanted)
    await ready(backend, wanted.id)
    processes = machine.processes_of(backend.folder, wanted.id)
    assert any(kind.value in " ".join(process.cmdline()) for process in processes)
    machine.keeper_of(backend.folder, wanted.id).kill()
    assert machine.gone(processes)
    await destroy(backend, wanted.id)


# A shortage of memory


async def test_all_slots_together_use_no_more_memory_than_the_pool_has(slots_folder: Path, images: Path) -> None:
    """Each is within its own limit. The kernel ends the largest, which is a notebook, and nothing else."""
    backend = LocalBackend(folder=slots_folder, images=images, examples=EXAMPLES, memory=SMALL.memory // 2)
    if backend._groups is None:
        pytest.skip("needs control groups")
    hungry = spec("hungry")
    async with slot(backend, spec(quick())) as small:
        await backend.create(hungry)
        found = await dead(backend, hungry.id)
        assert (found.reason, found.phase) == (EndReason.EVICTED, Phase.DEAD)
        assert (await backend.list())[small.id].phase is Phase.READY
        await destroy(backend, hungry.id)
    group = backend._group("any")
    assert group is not None
    assert not [folder for folder in group.pool.values() if Path(folder).exists()]


async def test_one_slot_that_uses_more_than_its_own_share_is_told_so(backend: LocalBackend) -> None:
    little = SMALL.model_copy(update={"memory": 64 * 1024**2, "disk": 16 * 1024**2})
    wanted = replace(spec("hungry"), flavor=little)
    await backend.create(wanted)
    assert (await dead(backend, wanted.id)).reason is EndReason.OUT_OF_MEMORY


async def test_where_memory_runs_out_a_notebook_goes_before_the_platform(backend: LocalBackend) -> None:
    wanted = spec(quick())
    async with slot(backend, wanted):
        keeper = machine.keeper_of(backend.folder, wanted.id)
        inside = machine.inside_of(backend.folder, wanted.id)
        scores = {Path(f"/proc/{one.pid}/oom_score_adj").read_text() for one in inside}
        assert scores == {f"{FIRST_TO_GO}\n"}
        assert int(Path(f"/proc/{keeper.pid}/oom_score_adj").read_text()) < FIRST_TO_GO


# A full disk


@pytest.fixture
def disk(slots_folder: Path) -> Iterator[Path]:
    """An unmounted folder for a small disk; unmounted afterwards."""
    slots_folder.mkdir()
    yield slots_folder
    subprocess.run(["umount", slots_folder], check=False, capture_output=True)


@as_root
@pytest.mark.parametrize(
    "options", [f"size={pages * 4}k" for pages in range(1, 10)] + [f"nr_inodes={n}" for n in range(1, 10)]
)
async def test_a_disk_that_is_full_at_any_step_of_a_start_fails_it_clearly_and_leaves_nothing(
    options: str, disk: Path, images: Path
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    backend = local_backend(disk, images)
    wanted = spec(quick())
    try:
        await backend.create(wanted)
    except SlotFailed as error:
        said = error.message
    else:
        said = ""
        found = await wait(
            backend,
            lambda found: found[wanted.id].phase is not Phase.CREATING,
            seconds=20,
        )
        if found[wanted.id].phase is Phase.DEAD:
            assert found[wanted.id].reason in (EndReason.START_FAILED, EndReason.LOST)
        await backend.destroy(wanted.id)
    assert said in ("", "This server cannot create a new notebook: No space left on device.")
    assert list(disk.iterdir()) == []
    assert machine.mentioned(wanted.id) == []
    assert machine.groups_of(wanted.id) == []


@as_root
async def test_a_disk_that_fills_up_later_takes_no_instance_down(disk: Path, images: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=True)
    backend = local_backend(disk, images)
    wanted = spec(quick())
    async with slot(backend, wanted) as status:
        (disk / ".filler").write_bytes(b"x" * 4096 * (os.statvfs(disk).f_bavail))
        assert os.statvfs(disk).f_bavail == 0
        assert await backend.list() == {wanted.id: status}
        with pytest.raises(SlotFailed, match="No space left on device"):
            await backend.create(spec(quick()))
        (disk / ".filler").unlink()
    assert list(disk.iterdir()) == []
