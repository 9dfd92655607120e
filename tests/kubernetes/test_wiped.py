"""In a cluster a restart is a new pod, whatever ended the old one. The pods are in user namespaces of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from spawner.ledger import EndReason, Instance
from tests.backends.wiped import Matrix, Tenant, Ways, alone, matrix_of
from tests.kubernetes.conftest import Cluster, PoolNamespace, wait_warm
from tests.kubernetes.node import Node
from tests.stack import Stack, eventually

EVICTION_SECONDS = 60
"""The kubelet measures volumes every few seconds here, and looks every 10 s whether one is too large."""
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
class Pods:
    """The shared Freepool, and its pods."""

    cluster: Cluster

    @property
    def stack(self) -> Stack:
        return self.cluster.stack

    def body(self, instance: Instance) -> Pod:
        """The pod of an instance."""
        pool = self.cluster.pool
        pod = pool.admin.pods(pool.name)[f"freepool-{instance.slot_id}"]
        # Which a node without them would not show otherwise: the next pods would do without.
        is_shared = instance.flavor == "gpu"
        assert pod["spec"].get("hostUsers", True) is is_shared, "users of its own, but for those with a GPU"
        return Pod(pod["metadata"]["uid"], pool, self.cluster.node)


class KubernetesWays(Ways):
    """All ways, and those of a pod."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    def _node(self) -> Node:
        if self._pods.cluster.node is None:
            pytest.skip("the cluster's node is not this machine")
        return self._pods.cluster.node

    def out_of_disk(self, tenant: Tenant) -> None:
        with tenant.loses_everything("out of disk", EndReason.OUT_OF_DISK, "ran out of disk space") as instance:
            tenant.run_fatally(FILL)
            eventually(lambda: tenant.latest() != instance, seconds=EVICTION_SECONDS, what="the kubelet's notice")

    def the_first_process_killed_from_outside(self, tenant: Tenant) -> None:
        with tenant.loses_everything("kill -9 of process 1", EndReason.CRASHED, "exited on its own") as instance:
            _, notebook = self._node().first_processes(self._pods.body(instance).id)
            os.kill(notebook, signal.SIGKILL)

    def what_holds_the_pod_killed(self, tenant: Tenant) -> None:
        with tenant.loses_everything("kill -9 of the pause", EndReason.CRASHED, "exited on its own") as instance:
            pause, _ = self._node().first_processes(self._pods.body(instance).id)
            os.kill(pause, signal.SIGKILL)

    def the_pod_deleted(self, tenant: Tenant) -> None:
        with tenant.loses_everything("kubectl delete pod", EndReason.LOST, "problem on our side") as instance:
            pool = self._pods.cluster.pool
            pool.admin.kubectl("delete", "pod", "-n", pool.name, f"freepool-{instance.slot_id}", "--wait=false")

    @alone
    def the_nodes_agent_away(self, tenant: Tenant) -> None:
        """The old pod cannot end now, but is no longer assigned; other users notice nothing."""
        node = self._node()
        with tenant.loses_everything("kubelet killed, stop", EndReason.STOPPED) as instance:
            wait_warm(tenant.stack)
            node.kill_kubelet()
            try:
                assert tenant.run("print(6 * 7)") == "42\n"
                assert tenant.stack.api("DELETE", f"/users/{tenant.name}/server").status_code in (202, 204)
                eventually(lambda: tenant.servers() == {}, what="the hub's word that it is stopped")
                tenant.move_in()
                assert node.processes(self._pods.body(instance).id), "nothing is there to end it"
            finally:
                node.start_kubelet()


@pytest.fixture(scope="module")
def matrix(shared: Cluster, request: pytest.FixtureRequest) -> Iterator[Matrix]:
    """All ways, several at once."""
    pods = Pods(shared)
    with matrix_of(request, pods, KubernetesWays(pods), at_once=4) as running:
        yield running


@pytest.mark.parametrize("way", KubernetesWays.names())
def test_nothing_of_an_instance_is_left_for_the_next(way: str, matrix: Matrix) -> None:
    matrix.loses(way)
