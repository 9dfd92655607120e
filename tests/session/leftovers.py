"""One folder for all temporary files of a run, and a look at its end: no process, mount, network or file is left."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil

from tests.cluster.network import CLUSTERS, OUTSIDES, outside_prefix

NETWORKS = Path("/sys/class/net"), Path("/run/netns")
"""Interfaces, bridges among them, and named namespaces."""
END_SECONDS = 5
"""How long a process that was ended by a test may take to go."""


def make_run_folder() -> Path:
    """A folder of this run alone. Its path is short: that of a socket below it may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="fp-"))
    folder.chmod(0o711)  # programs that run as another user have their folders below it
    return folder


def use(folder: Path) -> None:
    """Have this process, and all that it starts, make temporary files there."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


def networks() -> set[str]:
    """What this machine's network consists of, but for clusters, which stay between runs, and what other runs made."""
    found = {path for folder in NETWORKS if folder.is_dir() for path in folder.iterdir()}
    ours = {path for path in found if path.name.startswith(outside_prefix())}
    return {str(path) for path in found if path in ours or not path.name.startswith((CLUSTERS, OUTSIDES))}


def left_in(folder: Path) -> list[str]:
    """What tests that used this folder have left behind, in words."""
    _, alive = psutil.wait_procs(_processes_of(folder), timeout=END_SECONDS)
    found = [f"process {one.pid}: {' '.join(_command(one))[:300]}" for one in alive]
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found += [f"mount: {point}" for point in points if point.startswith(f"{folder}/")]
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith("pytest-of-")]
    return found + [f"file: {path}" for path in files]


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Processes that name the folder, or were told of it, other than this one and those that started it."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        one
        for one in psutil.process_iter()
        if one.pid not in ours and any(str(folder) in word for word in (*_command(one), *_environment(one)))
    ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []


def _environment(process: psutil.Process) -> list[str]:
    try:
        return [*process.environ().values()]
    except (psutil.Error, OSError):
        return []
