"""Records all events of a namespace's pods with `kubectl get --watch`."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.admin import Admin

FIELDS = (
    ".metadata.uid",
    ".status.phase",
    ".status.containerStatuses[0].restartCount",
    ".status.containerStatuses[0].containerID",
    ".status.containerStatuses[0].lastState.terminated.containerID",
)


@dataclass
class PodRecord:
    """One pod: the ids of all containers that the server has ever named for it, and the most restarts it has counted
    while the pod was alive."""

    containers: set[str]
    restarts: int = 0


@dataclass(frozen=True)
class PodRecords:
    """The recorded events, in a file. (Freepool's pods have one container.)"""

    file: Path

    def pods(self) -> dict[str, PodRecord]:
        """By uid."""
        found: dict[str, PodRecord] = defaultdict(lambda: PodRecord(set()))
        for line in self.file.read_text().splitlines():
            uid, phase, restarts, *containers = line.split("|")
            found[uid].containers |= {name for name in containers if name}
            if phase != "Failed":
                found[uid].restarts = max(found[uid].restarts, int(restarts or 0))
        return dict(found)


@contextmanager
def recorded(admin: Admin, namespace: str, file: Path) -> Iterator[PodRecords]:
    """Record events while the block runs."""
    shown = "|".join(f"{{{field}}}" for field in FIELDS)
    command = admin.command("get", "pods", "-n", namespace, "--watch", "-o", f'jsonpath={shown}{{"\\n"}}')
    with file.open("w") as output, subprocess.Popen(command, stdout=output) as watching:
        try:
            yield PodRecords(file)
            assert watching.poll() is None, "the watch ended early"
        finally:
            watching.terminate()
