"""Simulated GPUs on the cluster's node, offered by a device plugin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.kubernetes.admin import Admin
from tests.kubernetes.node import Node
from tests.stack import PROJECT, eventually

RESOURCE = "nvidia.com/gpu"


@dataclass(frozen=True)
class Gpus:
    """The running device plugin."""

    admin: Admin
    process: subprocess.Popen[str]

    def set_health(self, number: int, health: str) -> None:
        """Make a GPU `healthy` or `unhealthy`."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{health} GPU-pretended-{number}\n")
        self.process.stdin.flush()

    def wait_offered(self, count: int) -> None:
        """Wait until the node has this many allocatable GPUs."""
        eventually(lambda: offered(self.admin) == count, seconds=30, what=f"{count} GPUs on the node")


def offered(admin: Admin) -> int:
    """Allocatable GPUs in the node's status."""
    return int(admin.node()["status"]["allocatable"].get(RESOURCE, 0))


@contextmanager
def pretended_gpus(admin: Admin, node: Node, count: int) -> Iterator[Gpus]:
    """The node offers this many GPUs while the block runs."""
    command = [
        sys.executable,
        "-m",
        "tests.cluster.device_plugin",
        f"--kubelet-dir={node.kubelet_dir}",
        f"--count={count}",
    ]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == "registered", "the device plugin does not run"
            gpus = Gpus(admin, process)
            gpus.wait_offered(count)
            yield gpus
        finally:
            process.stdin.close()
            process.wait(10)
    eventually(lambda: offered(admin) == 0, seconds=60, what="a node without GPUs")
