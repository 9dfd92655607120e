"""Finds out how slots can be connected here, by trying it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from spawner.pool.backends.local.network import LOOPBACK, Means, Network, TrafficLimits, find_program, plan

SECONDS = 60
NORMAL = TrafficLimits()
TRIAL_USER = 0x70FFFFFF
"""A user id that no slot has, for the trial that root makes."""


def find_means(*, internet: bool, limits: TrafficLimits = NORMAL, log: bool = True) -> tuple[Means, str]:
    """The best means that works here, and why no better one does (empty where none was asked for).

    Takes about a second: the supervisor asks once, and its programs read the result.
    """
    failures = []
    if internet:
        for means in (Means.PASTA, Means.SLIRP):
            failure = _missing(means) or _try(means, limits, log=log)
            if not failure:
                return means, ""
            failures.append(failure)
    failure = _try(Means.CLOSED, limits, log=log)
    if failure:
        return Means.SHARED, failure
    return Means.CLOSED, "; ".join(dict.fromkeys(failures))


def _missing(means: Means) -> str:
    names = [name for name in (means.value, "nft") if find_program(name) is None]
    return f"{' and '.join(names)}: not installed" if names else ""


def _try(means: Means, limits: TrafficLimits = NORMAL, *, log: bool = True) -> str:
    """Make one namespace, in a process of its own. Returns why that is impossible; empty where it works."""
    trial = plan(
        Network(means=means, ports=(1,), target=LOOPBACK, limits=limits, log=log),
        TRIAL_USER if os.geteuid() == 0 else None,
    )
    assert trial is not None
    package = Path(sys.modules["spawner"].__path__[0])
    try:
        done = subprocess.run(
            [sys.executable, "-S", "-m", "spawner.pool.backends.local.namespace"],
            input=json.dumps(trial.to_json()),
            env={"PYTHONPATH": str(package.parent), "PATH": os.environ.get("PATH", os.defpath)},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{means}: no answer"
    if done.returncode == 0:
        return f"{means}: {done.stdout}" if done.stdout else ""
    return f"{means}: {(done.stderr.strip().splitlines() or ['it ended'])[-1]}"
