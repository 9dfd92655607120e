"""What an instance says about its use. `tests/hub/test_idle.py` asks a real one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spawner.instance import activity as module
from spawner.instance.activity import INPUT, MOST, activity

NOW = 1_800_000_000.0
LAST = datetime.fromtimestamp(NOW - 50, UTC)


@dataclass
class Kernel:
    execution_state: str = "idle"
    last_activity: datetime = LAST
    watchers: list[Any] = field(default_factory=list)

    def observe(self, watcher: Any, name: str) -> None:
        assert name == "execution_state"
        self.watchers.append(watcher)


class Kernels(dict[str, Any]):
    _kernel_connections: dict[str, int] = {"a": 2}  # noqa: RUF012

    def list_kernel_ids(self) -> list[str]:
        return list(self)

    def get_kernel(self, kernel_id: str) -> Any:
        found = self[kernel_id]
        if found is None:
            raise KeyError(kernel_id)
        return found


class Tab:
    def hear(self) -> None:
        """An open tab's subscription to the server's events."""


def app(**kernels: Any) -> Any:
    tab = Tab()
    events = SimpleNamespace(_modified_listeners={"one": {tab.hear}, "two": {tab.hear}})
    return SimpleNamespace(kernel_manager=Kernels(kernels), event_logger=events)


def test_a_report_names_kernels_terminals_tabs_and_input() -> None:
    terminals = {"1": SimpleNamespace(ptyproc=SimpleNamespace(pid=1 << 30), clients=["tab"]), "2": SimpleNamespace()}
    settings = {INPUT: NOW - 9, "terminal_manager": SimpleNamespace(terminals=terminals)}
    said = activity(app(a=Kernel("busy"), gone=None), settings, NOW)
    assert said["kernels"] == [{"id": "a", "busy": True, "since": NOW - 50}]
    assert said["terminals"] == [{"name": "1", "children": 0}, {"name": "2", "children": 0}]
    assert (said["now"], said["input_at"], said["tabs"]) == (NOW, NOW - 9, 1 + 2 + 1)


@pytest.mark.parametrize(
    ("settings", "opened"), [({}, False), ({"api_last_activity": LAST}, True), ({INPUT: NOW - 9}, True)]
)
def test_a_report_says_whether_anybody_has_opened_the_server(settings: dict[str, Any], opened: bool) -> None:
    assert activity(app(), settings, NOW)["opened"] is opened


def test_a_kernel_that_prints_has_been_busy_since_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    activity(app(a=kernel), {}, NOW)
    monkeypatch.setattr(module.time, "time", lambda: NOW + 10)
    kernel.execution_state = "busy"
    for watcher in kernel.watchers:
        watcher({})
    kernel.last_activity = datetime.fromtimestamp(NOW + 500, UTC)
    (said,) = activity(app(a=kernel), {}, NOW + 500)["kernels"]
    assert (said["busy"], said["since"], len(kernel.watchers)) == (True, NOW + 10, 1)


def test_busy_kernels_are_named_first_and_a_report_has_an_end() -> None:
    many = {f"k{number}": Kernel("busy" if number == 250 else "idle") for number in range(300)}
    said = activity(app(**many), {}, NOW)["kernels"]
    assert (len(said), said[0]["id"]) == (MOST, "k250")


def test_counters_of_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    monkeypatch.setattr(module, "PROC", tmp_path)
    said = activity(app(), {}, NOW)
    assert (said["processor_seconds"], said["network"]) == (None, None)
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\n")
    (tmp_path / "self" / "net").mkdir(parents=True)
    lines = ["Inter-|", " face |", "    lo: 9 0 0 0 0 0 0 0 9 0", "  eth0: 100 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0"]
    (tmp_path / "self" / "net" / "dev").write_text("\n".join(lines))
    said = activity(app(), {}, NOW)
    assert (said["processor_seconds"], said["network"]) == (2.5, 120)
    (tmp_path / "cpu.stat").unlink()
    (tmp_path / "cpuacct").mkdir()
    (tmp_path / "cpuacct" / "cpuacct.usage").write_text("1500000000\n")
    assert activity(app(), {}, NOW)["processor_seconds"] == 1.5
