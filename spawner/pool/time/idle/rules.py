"""The numbers by which use is told from no use."""

from __future__ import annotations

from dataclasses import dataclass

from spawner.catalog.idle import Idle
from spawner.catalog.sessions import LEAST_NOTICE_MINUTES

BUCKETS = 24


@dataclass(frozen=True)
class Rules:
    """Seconds, processors (1: one whole core) and bytes a second.

    `baseline` is what an unused JupyterLab with an open tab takes at most: 0.003 was measured (docs/idle.md). Above it
    `working` is use whatever else is known, and `light` is use where a kernel is busy or a program runs in a terminal.
    `light_network` and `network` are the same for the network. `longest_gap`: what happened between two looks that are
    further apart is unknown.
    """

    baseline: float = 0.02
    working: float = 0.10
    light: float = 0.02
    network: float = 50_000
    light_network: float = 5_000
    present: float = 15 * 60
    waiting: float = 60 * 60
    busy_least: float = 30
    """A kernel that is busy for a shorter time does not wait for anything: a widget's heartbeat is."""
    prompt: float = LEAST_NOTICE_MINUTES * 60
    """How long the notice stands before the stop."""
    bucket: float = 5 * 60
    cpu_only: int = 9
    """Buckets of work without the GPU before CPU is offered: 45 minutes."""
    longest_gap: float = 180
    ask_every: float = 5 * 60
    """Between two questions to an instance whose answer can change little."""
    stale: float = 600
    """Seconds without an answer after which the instance's last report counts no more."""
    silent: float = 2
    """How many times slower an instance is judged that reports nothing."""


@dataclass(frozen=True)
class Limits:
    """Seconds without use until the stop; None: it is never stopped for that. `has_gpu`: its flavor has one."""

    with_tab: float | None
    without_tab: float | None
    has_gpu: bool = False


def limits_of(idle: Idle | None, *, has_gpu: bool) -> Limits:
    """Those of a flavor."""
    if idle is None:
        return Limits(None, None, has_gpu)
    return Limits(idle.minutes * 60, idle.without_tab * 60, has_gpu)
