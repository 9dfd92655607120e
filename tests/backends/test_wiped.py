"""On this machine a restart is a new sandbox, whatever ended the old one."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from spawner.ledger import EndReason, Instance
from tests.backends import machine
from tests.backends.wiped import Matrix, Tenant, Ways, matrix_of, small
from tests.stack import Stack, running_stack, write_catalog


@dataclass(frozen=True)
class Sandbox:
    """One slot as this machine has it: its folder, its processes, its control groups."""

    id: str
    folder: Path
    processes: tuple[psutil.Process, ...]

    def left(self) -> list[str]:
        """Folders, groups and processes that are still there."""
        paths = [path for path in (self.folder, *machine.groups_of(self.folder.name)) if path.exists()]
        return [str(path) for path in paths] + [f"process {one.pid}" for one in self.processes if one.is_running()]


@dataclass(frozen=True)
class ThisMachine:
    """A Freepool with the pool of this machine."""

    stack: Stack

    @property
    def folder(self) -> Path:
        return self.stack.settings.slots_dir

    def body(self, instance: Instance) -> Sandbox:
        """The slot's keeper, and all that is below it."""
        assert instance.slot_id is not None
        keeper, *inside = machine.processes_of(self.folder, instance.slot_id)
        return Sandbox(f"{keeper.pid}@{keeper.create_time()}", self.folder / instance.slot_id, (keeper, *inside))


@pytest.fixture(scope="module")
def ground() -> Iterator[ThisMachine]:
    """One Freepool for all of it."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        with running_stack(folder / "state", catalog=write_catalog(folder / "catalog.yaml", small)) as stack:
            yield ThisMachine(stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class LocalWays(Ways):
    """All ways, and those of a sandbox."""

    def __init__(self, ground: ThisMachine) -> None:
        self._ground = ground

    def the_sandbox_killed_from_outside(self, tenant: Tenant) -> None:
        with tenant.loses_everything("kill -9 of the sandbox", EndReason.CRASHED, "exited on its own") as instance:
            for process in self._ground.body(instance).processes[1:]:
                if process.name() == "bwrap":
                    os.kill(process.pid, signal.SIGKILL)
                    break

    def the_keeper_killed(self, tenant: Tenant) -> None:
        with tenant.loses_everything("kill -9 of the keeper", EndReason.LOST, "problem on our side") as instance:
            os.kill(self._ground.body(instance).processes[0].pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def matrix(ground: ThisMachine, request: pytest.FixtureRequest) -> Iterator[Matrix]:
    """All ways, several at once."""
    with matrix_of(request, ground, LocalWays(ground), at_once=3) as running:
        yield running


@pytest.mark.parametrize("way", LocalWays.names())
def test_nothing_of_an_instance_is_left_for_the_next(way: str, matrix: Matrix) -> None:
    matrix.loses(way)
