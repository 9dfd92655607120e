"""What a kernel that Jupyter restarts after its death counts as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spawner.instance.execution.run import forget_state_at_restarts


class Manager:
    """The part of a kernel manager that calls back at a restart."""

    def __init__(self) -> None:
        self.execution_state = "busy"
        self.callbacks: list[tuple[Callable[[], Any], str]] = []

    def add_restart_callback(self, callback: Callable[[], Any], event: str) -> None:
        self.callbacks.append((callback, event))


def test_a_kernel_that_died_in_a_cell_counts_as_starting_and_not_as_busy() -> None:
    """`tests/browser/test_closed_lid.py` shows it in JupyterLab, where it depends on who is faster."""
    manager = Manager()
    for _ in range(2):
        forget_state_at_restarts(manager)
    assert [event for _, event in manager.callbacks] == ["restart"], "one callback, however many cells run"
    manager.callbacks[0][0]()
    assert manager.execution_state == "starting"
