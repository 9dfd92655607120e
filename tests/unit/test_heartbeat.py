"""The chart's probes of the steward see what its heartbeat writes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spawner.errors import BackendUnavailable
from spawner.ledger import leases
from spawner.steward import runner
from spawner.steward.heartbeat import ALIVE, READY, Heartbeat
from tests.helm.chart import manifest_of, render


def probe(name: str, folder: Path) -> bool:
    """Run a probe of the rendered chart on a local folder."""
    pod = manifest_of(render(), "Deployment", "freepool-steward")["spec"]["template"]["spec"]
    command = [part.replace("/srv/freepool", str(folder)) for part in pod["containers"][0][name]["exec"]["command"]]
    return subprocess.run(command, check=False).returncode == 0


def test_a_steward_is_alive_for_two_minutes_after_a_round(tmp_path: Path) -> None:
    (tmp_path / READY).touch()
    heartbeat = Heartbeat(tmp_path)
    assert not probe("startupProbe", tmp_path), "the file is of an earlier one"
    assert not probe("livenessProbe", tmp_path)
    heartbeat.ready()
    heartbeat.beat()
    assert probe("startupProbe", tmp_path)
    assert probe("livenessProbe", tmp_path)
    os.utime(tmp_path / ALIVE, (time.time() - 130,) * 2)
    assert not probe("livenessProbe", tmp_path)


@pytest.mark.parametrize(
    ("held", "role"),
    [
        ((leases.STEWARD, leases.hub_lease("b")), "the steward works"),
        ((leases.hub_lease("b"),), "the steward serves hub b; another one acts on the pool"),
        ((), "the steward is on standby: another one works"),
    ],
)
def test_the_log_says_what_a_steward_of_several_hubs_does(held: tuple[str, ...], role: str) -> None:
    assert runner.role_of(frozenset(held), "b") == role


@pytest.mark.parametrize("is_holder", [True, False])
async def test_it_is_ready_once_it_has_seen_ledger_and_backend(tmp_path: Path, is_holder: bool) -> None:
    stopping, seen, answers = asyncio.Event(), [], iter([False, True])

    async def a_round() -> bool:
        if len(seen) == 2:
            stopping.set()
        return is_holder

    async def refresh() -> None:
        seen.append((tmp_path / READY).exists())
        if not next(answers):
            raise BackendUnavailable("no answer")

    async def changed() -> None:
        return None

    steward: Any = SimpleNamespace(
        round=a_round, role="", pool=SimpleNamespace(view=SimpleNamespace(refresh=refresh, changed=changed))
    )
    await asyncio.wait_for(runner._run_rounds(steward, stopping, Heartbeat(tmp_path)), 10)
    assert seen == [False, False]
    assert (tmp_path / READY).exists()
    assert (tmp_path / ALIVE).exists()
