"""The one node of our own cluster, which is this machine: what only its administrator sees and does."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.admin import Admin, script

LOGS = Path("/var/log/pods")


@dataclass(frozen=True)
class Node:
    """`state` is the folder that the cluster's scripts keep everything in."""

    state: Path

    @classmethod
    def of(cls, admin: Admin) -> Node | None:
        """The node of our own cluster; None for a cluster of somebody else."""
        state = admin.kubeconfig.parent
        return cls(state) if (state / "run" / "kubelet.pid").exists() else None

    def volumes(self, uid: str) -> list[str]:
        """What there is of a pod's volumes: its folder, and what is mounted below."""
        folder = self.state / "kubelet" / "pods" / uid
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if uid in line]
        return mounts + [str(folder)] * folder.exists()

    def traces(self, uid: str) -> list[str]:
        """What there is of a pod: volumes, logs, processes. (Of control groups old kubelets leave empty ones.)"""
        logs = [str(path) for path in LOGS.glob(f"*_{uid}")]
        return [*self.volumes(uid), *logs, *(f"process {pid}" for pid in self.processes(uid))]

    def processes(self, uid: str) -> list[int]:
        """Process ids of a pod's containers, the one that holds its namespaces included."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    groups = (entry / "cgroup").read_text()
                except OSError:
                    continue
                if uid in groups or uid.replace("-", "_") in groups:
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
        """kill -9. What runs goes on running; nothing begins or ends."""
        os.kill(int((self.state / "run" / "kubelet.pid").read_text()), signal.SIGKILL)

    def start_kubelet(self) -> None:
        """Start what does not run."""
        script("up")
