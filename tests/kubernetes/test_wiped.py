"""In a cluster a restart is a new pod, whatever ended the old one, and no container is ever restarted in its pod."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from spawner.ledger import EndReason, Instance
from tests.backends.wiped import Tenant, Wiped, small, tenants
from tests.kubernetes.conftest import PoolNamespace, write_settings
from tests.kubernetes.node import Node
from tests.stack import Stack, eventually, running_stack

EVICTION_SECONDS = 150
"""The kubelet measures volumes once a minute, and looks every 10 s whether one is too large."""
TRACES_SECONDS = 150
"""The kubelet clears logs away once a minute."""
FILL = "open('/mnt/workspace/filled', 'wb').write(bytes(96 << 20))"


@dataclass(frozen=True)
class Pod:
    """One slot as the cluster has it: its pod, and its volumes on the node."""

    id: str
    pool: PoolNamespace
    node: Node | None

    def left(self) -> list[str]:
        """The pod, and what there is of its volumes."""
        there = [
            name for name, pod in self.pool.admin.pods(self.pool.name).items() if pod["metadata"]["uid"] == self.id
        ]
        return there + (self.node.volumes(self.id) if self.node else [])


@dataclass(frozen=True)
class Pool:
    """A Freepool with a pool on the cluster. `seen` are the pods that have been lent."""

    stack: Stack
    namespace: PoolNamespace
    node: Node | None
    restarts: Path
    seen: list[str] = field(default_factory=list)

    def body(self, loan: Instance) -> Pod:
        """The pod of a loan."""
        uid = self.namespace.admin.json("get", "pod", "-n", self.namespace.name, f"freepool-{loan.slot_id}")[
            "metadata"
        ]["uid"]
        self.seen.append(uid)
        return Pod(uid, self.namespace, self.node)


@pytest.fixture(scope="module")
def ground(pool_namespace: PoolNamespace, host_address: str) -> Iterator[Pool]:
    """One Freepool for all of it; how often containers were restarted is noted for as long as it runs."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    restarts = folder / "restarts"
    shown = 'jsonpath={.metadata.name} {.status.containerStatuses[*].restartCount}{"\\n"}'
    watch = pool_namespace.admin.command("get", "pods", "-n", pool_namespace.name, "--watch", "-o", shown)
    try:
        settings = write_settings(folder, pool_namespace.settings, host_address, small)
        with restarts.open("w") as output, subprocess.Popen(watch, stdout=output) as watching:
            try:
                with running_stack(folder / "state", settings=settings) as stack:
                    yield Pool(stack, pool_namespace, Node.of(pool_namespace.admin), restarts)
            finally:
                watching.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def only(ground: Pool, pytestconfig: pytest.Config) -> Iterator[Tenant]:
    """Somebody."""
    with tenants(ground, pytestconfig) as tenant:
        yield tenant


@pytest.fixture
def node(ground: Pool) -> Node:
    """The node, where it is ours to break."""
    if ground.node is None:
        pytest.skip("the cluster's node is not this machine")
    return ground.node


class TestWiped(Wiped):
    """All ways, and those of a pod."""

    @pytest.fixture
    def tenant(self, only: Tenant) -> Tenant:
        """The same person throughout."""
        return only

    def test_when_the_first_process_is_killed_from_outside(self, tenant: Tenant, ground: Pool, node: Node) -> None:
        with tenant.loses_everything("kill -9 of process 1", EndReason.CRASHED, "ended by itself") as loan:
            _, notebook = node.first_processes(ground.body(loan).id)
            os.kill(notebook, signal.SIGKILL)

    def test_when_what_holds_the_pod_is_killed(self, tenant: Tenant, ground: Pool, node: Node) -> None:
        with tenant.loses_everything("kill -9 of the pause", EndReason.CRASHED, "ended by itself") as loan:
            pause, _ = node.first_processes(ground.body(loan).id)
            os.kill(pause, signal.SIGKILL)

    def test_when_the_pod_is_deleted(self, tenant: Tenant, ground: Pool) -> None:
        with tenant.loses_everything("kubectl delete pod", EndReason.LOST, "lost by the platform") as loan:
            pod = f"freepool-{loan.slot_id}"
            ground.namespace.admin.kubectl("delete", "pod", "-n", ground.namespace.name, pod, "--wait=false")

    def test_when_the_nodes_agent_is_away(self, tenant: Tenant, ground: Pool, node: Node) -> None:
        """The old pod cannot end just now, but it is nobody's; and who has been served already notices nothing."""
        with tenant.loses_everything("kubelet killed, stop", EndReason.STOPPED) as loan:
            tenant.stack.wait_warm()
            node.kill_kubelet()
            try:
                assert tenant.run("print(6 * 7)") == "42\n"
                assert tenant.stack.api("DELETE", f"/users/{tenant.name}/server").status_code in (202, 204)
                eventually(lambda: tenant.servers() == {}, what="the hub's word that it is stopped")
                tenant.move_in()
                assert node.processes(ground.body(loan).id), "nobody is there to end it"
            finally:
                node.start_kubelet()

    def test_when_the_disk_is_full(self, tenant: Tenant) -> None:
        with tenant.loses_everything("out of disk", EndReason.OUT_OF_DISK, "more than its shape has room") as loan:
            tenant.run_fatally(FILL)
            eventually(lambda: tenant.latest() != loan, seconds=EVICTION_SECONDS, what="the kubelet's notice")

    def test_nothing_at_all_is_left_on_the_node(self, ground: Pool, tenant: Tenant, node: Node) -> None:
        """No volume, no process, no log."""
        tenant.stack.stop(tenant.name)
        left: list[str] = []

        def is_clean() -> bool:
            left[:] = [trace for uid in ground.seen for trace in node.traces(uid)]
            return not left

        with contextlib.suppress(AssertionError):
            eventually(is_clean, seconds=TRACES_SECONDS)
        assert left == []

    def test_no_container_was_ever_restarted(self, ground: Pool) -> None:
        lines = [line.split() for line in ground.restarts.read_text().splitlines()]
        assert len({name for name, *_ in lines}) > len(set(ground.seen))
        assert {count for _, *counts in lines for count in counts} == {"0"}
