"""After all other tests of this folder: nothing is left on the node of any pod that they created.

(The name puts it last. The kubelet clears logs away once a minute.)
"""

from __future__ import annotations

import contextlib

from tests.kubernetes.conftest import Cluster
from tests.kubernetes.node import Node
from tests.stack import eventually

TRACES_SECONDS = 90


def test_nothing_of_past_pods_is_left_on_the_node(shared: Cluster, node: Node) -> None:
    """No volume, no process, no log of any pod that is not there any more."""
    for instance in shared.stack.unended():
        shared.stack.stop(instance.user_name)
    there = {pod["metadata"]["uid"] for pod in shared.pool.admin.pods(shared.pool.name).values()}
    gone = shared.records.pods().keys() - there
    assert gone
    left: list[str] = []

    def is_clean() -> bool:
        left[:] = node.traces(*gone)
        return not left

    with contextlib.suppress(AssertionError):
        eventually(is_clean, seconds=TRACES_SECONDS)
    assert left == []


def test_the_kernel_logged_no_refusal(shared: Cluster, node: Node) -> None:
    """No user namespace, no mount, no system call of any of these pods: its log says nothing of the kind."""
    assert shared.refusals() == []


def test_no_container_was_ever_restarted(shared: Cluster) -> None:
    """A pod has had one container, or none.

    The number of restarts alone does not say so: of an evicted pod whose container the runtime has forgotten, the
    kubelet says "restarted once, being created", though nothing of it will ever run again.
    """
    pods = shared.records.pods()
    assert [pod for pod in pods.values() if pod.containers], "the watch has seen containers"
    assert {uid: pod for uid, pod in pods.items() if len(pod.containers) > 1 or pod.restarts} == {}
