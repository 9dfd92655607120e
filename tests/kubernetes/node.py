"""The single node of our own cluster, which is this machine: access that needs root on the node."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.admin import Admin, script

KERNEL_LOG = Path("/dev/kmsg")
REFUSAL = re.compile(r"apparmor|audit|denied|seccomp|selinux|userns|idmap", re.IGNORECASE)
"""Matches the kernel's messages about refusals. (Out of memory in a control group is none.)"""
FRAME = re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+")
"""Matches a line of a stack: the kernel logs the stack of who ran out of memory, in the system calls' filter maybe."""


@dataclass(frozen=True)
class Node:
    """`state` is the folder that the cluster's scripts keep everything in."""

    state: Path

    @classmethod
    def of(cls, admin: Admin) -> Node | None:
        """The node of our own cluster; None for a cluster that was given."""
        state = admin.kubeconfig.parent
        return cls(state) if (state / "run" / "kubelet.pid").exists() else None

    @property
    def kubelet_dir(self) -> Path:
        """The kubelet's --root-dir."""
        return self.state / "kubelet"

    @property
    def kubelet_pid(self) -> int:
        """Process id of the kubelet."""
        return int((self.state / "run" / "kubelet.pid").read_text())

    def volumes(self, *uids: str) -> list[str]:
        """Folders and mounts of pods' volumes that exist."""
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        folders = [self.kubelet_dir / "pods" / uid for uid in uids]
        return [mount for mount in mounts if any(uid in mount for uid in uids)] + [
            str(folder) for folder in folders if folder.exists()
        ]

    def traces(self, *uids: str) -> list[str]:
        """Volumes, logs and processes of pods that exist."""
        logs = [str(path) for path in (self.state / "pod-logs").iterdir() if path.name.rpartition("_")[2] in uids]
        return [*self.volumes(*uids), *logs, *(f"process {pid}" for pid in self.processes(*uids))]

    def processes(self, *uids: str) -> list[int]:
        """Process ids of pods' containers, those that hold the pods' namespaces included: by their control groups."""
        names = {f"pod{uid}" for uid in uids}
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    groups = (entry / "cgroup").read_text()
                except OSError:
                    continue
                if not names.isdisjoint(groups.replace("\n", "/").split("/")):
                    found.append(int(entry.name))
        return sorted(found)

    def first_processes(self, uid: str) -> tuple[int, int]:
        """The processes that are number 1 inside: of the pod, which holds its namespaces, and of the notebook."""
        first = {}
        for pid in self.processes(uid):
            status = Path(f"/proc/{pid}/status").read_text()
            (numbers,) = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
            if numbers[-1] == "1":
                first[Path(f"/proc/{pid}/comm").read_text().strip()] = pid
        pause = first.pop("pause")
        (notebook,) = first.values()
        return pause, notebook

    def kill_kubelet(self) -> None:
        """kill -9. Containers go on running; none starts or ends."""
        os.kill(self.kubelet_pid, signal.SIGKILL)

    def start_kubelet(self) -> None:
        """Start the cluster's processes that do not run. (Those that are held up go on as well.)"""
        is_held = _is_held(self._firewall_pid)
        script("up")
        if is_held:
            os.kill(self._firewall_pid, signal.SIGSTOP)

    @property
    def _firewall_pid(self) -> int:
        return int((self.state / "run" / "kube-router.pid").read_text())

    @contextmanager
    def without_firewall(self) -> Iterator[None]:
        """Hold kube-router up while the block runs, which has no policy. Each pod that goes makes it call iptables some
        40 times, those of a test with thousands as well: a tenth of the processor time of all tests on the cluster."""
        os.kill(self._firewall_pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._firewall_pid, signal.SIGCONT)


def _is_held(pid: int) -> bool:
    """Whether a process was sent SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@contextmanager
def kernel_log() -> Iterator[Callable[[], list[str]]]:
    """Yields a function that returns the refusals that the kernel has logged since the block began.

    A thread reads them as they come: the kernel overwrites its oldest records (a ring of some 2,000 lines, and one
    process that runs out of memory takes a hundred), and then answers the next read with EPIPE.
    """
    descriptor = os.open(KERNEL_LOG, os.O_RDONLY | os.O_NONBLOCK)
    found: list[str] = []
    reading = threading.Lock()
    has_ended = threading.Event()

    def read() -> None:
        with reading, contextlib.suppress(BlockingIOError):  # no more
            while True:
                try:
                    # Each read gives one record: "priority,number,time,flags;text".
                    record = os.read(descriptor, 8192).decode(errors="replace").partition(";")[2].strip()
                except BrokenPipeError:
                    record = "records were lost: denied or not is unknown"
                if REFUSAL.search(record) and not FRAME.search(record):
                    found.append(record)

    def follow() -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not has_ended.is_set():
            if poll.poll(500):
                read()

    def refusals() -> list[str]:
        read()
        return list(found)

    os.lseek(descriptor, 0, os.SEEK_END)
    follower = threading.Thread(target=follow, name="kernel-log")
    follower.start()
    try:
        yield refusals
    finally:
        has_ended.set()
        follower.join()
        os.close(descriptor)
