"""A slot seen from the host: its processes, control groups, ports and folders."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import psutil


def status_of(folder: Path, slot_id: str) -> dict[str, object]:
    found = json.loads((folder / slot_id / "status.json").read_text())
    assert isinstance(found, dict)
    return found


def keeper_of(folder: Path, slot_id: str) -> psutil.Process:
    return psutil.Process(int(str(status_of(folder, slot_id)["pid"])))


def processes_of(folder: Path, slot_id: str) -> list[psutil.Process]:
    """The keeper and everything below it."""
    keeper = keeper_of(folder, slot_id)
    return [keeper, *keeper.children(recursive=True)]


def inside_of(folder: Path, slot_id: str) -> list[psutil.Process]:
    """The processes of the sandbox: bubblewrap and everything below it."""
    return [
        process
        for child in keeper_of(folder, slot_id).children()
        if child.name() == "bwrap"
        for process in (child, *child.children(recursive=True))
    ]


def agent_of(folder: Path, slot_id: str) -> psutil.Process:
    """The process that is, or becomes, the notebook server."""
    (agent,) = [
        process
        for process in processes_of(folder, slot_id)
        if "spawner.instance.agent" in process.cmdline() and process.name() not in ("bwrap", "setpriv")
    ]
    return agent


def mentioned(slot_id: str) -> list[str]:
    """Command lines of processes that name a slot."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if slot_id in line:
            found.append(line)
    return found


def groups_of(slot_id: str) -> list[Path]:
    """Control groups of a slot, in any tree."""
    # Unlike a glob, a walk puts up with groups that go while it looks.
    walk = os.walk("/sys/fs/cgroup")
    return [Path(folder, name) for folder, names, _ in walk for name in names if slot_id in name]


def gone(processes: list[psutil.Process], *, seconds: float = 5) -> bool:
    """Whether all of them end within some time: the kernel needs a moment after a kill."""
    _, left = psutil.wait_procs(processes, timeout=seconds)
    return not left


def can_bind(url: str) -> bool:
    """Whether another process could bind a slot's port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((urlsplit(url).hostname, urlsplit(url).port))
        except OSError:
            return False
    return True
