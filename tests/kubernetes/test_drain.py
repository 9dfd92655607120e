"""`kubectl drain` of a node: warm slots are evicted at once, and an assigned one blocks the drain until it ends."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.helm.chart import RELEASE, of_kind, render
from tests.kubernetes.conftest import Cluster, wait_warm
from tests.kubernetes.platform import Platform
from tests.stack import eventually

EVICTABLE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
NAME = f"{RELEASE}-instances"
SLOTS = "--pod-selector=freepool/slot"
"""The cluster may have other tests' pods on its node: only slots are evicted."""


@pytest.fixture
def platform(shared: Cluster) -> Iterator[Platform]:
    """The shared Freepool with the chart's budgets; afterwards the node takes pods again."""
    admin, name = shared.pool.admin, shared.pool.name
    budgets = [budget for budget in of_kind(render(), "PodDisruptionBudget") if NAME in budget["metadata"]["name"]]
    assert len(budgets) == 2
    for budget in budgets:
        budget["metadata"]["namespace"] = name
        admin.apply(budget)
    found = Platform(shared.stack, shared.pool)
    try:
        yield found
    finally:
        admin.kubectl("uncordon", node_of(found))
        admin.kubectl("delete", "poddisruptionbudget", "-n", name, "--all")
        if found.instance("drained"):
            found.stack.stop("drained")
        found.wait_for_order()


def node_of(platform: Platform) -> str:
    """The name of the cluster's node."""
    return str(platform.pool.admin.node()["metadata"]["name"])


def test_a_drain_waits_only_for_assigned_slots(platform: Platform) -> None:
    stack, admin = platform.stack, platform.pool.admin
    wait_warm(stack)
    stack.add_user("drained")
    assert stack.start("drained").status_code in (201, 202)
    instance = eventually(
        lambda: (found := platform.instance("drained")) and found.state == "running" and found,
        seconds=60,
        what="a notebook",
    )
    idle = wait_warm(stack)
    pods = platform.pods()
    marked = {slot: pods[slot]["metadata"]["annotations"][EVICTABLE] for slot in (idle, instance.slot_id)}
    assert marked == {idle: "true", instance.slot_id: "false"}, "the autoscaler is told the same"

    said: list[str] = []
    began = time.monotonic()
    # Slots have no controller, hence --force.
    drain = admin.command("drain", node_of(platform), "--ignore-daemonsets", "--delete-emptydir-data", "--force",
                          "--timeout=120s", SLOTS)  # fmt: skip
    with subprocess.Popen(drain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        reading = threading.Thread(target=lambda: said.extend(process.stdout))  # type: ignore[arg-type]
        reading.start()
        try:
            eventually(lambda: idle not in platform.pods(), seconds=10, what="the end of the one that waits")
            left_after = time.monotonic() - began
            # kubectl tries again every 5 s; the second refusal shows that it holds on.
            refusals = f"freepool-{instance.slot_id}"
            eventually(
                lambda: sum(refusals in line and "disruption budget" in line for line in said) >= 2,
                seconds=15,
                what="the drain being held",
            )
            assert process.poll() is None
            assert platform.instance("drained") == instance, "and the notebook goes on"
            assert instance.slot_id in platform.pods()
            # As a notebook from before the upgrade, which has the label under its old name alone.
            admin.kubectl("label", "pod", "-n", platform.pool.name, refusals, "freepool/assigned-")
            with pytest.raises(AssertionError, match="would violate the pod's disruption budget") as refused:
                platform.evict(instance.slot_id or "")
            assert "more than one" not in f"{refused.value}{said}", "of two budgets, which would forbid any eviction"
            stopped = time.monotonic()
            stack.stop("drained")
            assert process.wait(30) == 0, said
            held = time.monotonic() - stopped
        finally:
            if process.poll() is None:
                process.terminate()
            reading.join()
    assert any("drained" in line for line in said)
    placed = [pod for pod in platform.pods().values() if pod["spec"].get("nodeName")]
    assert placed == [], "nothing new has come to the node"
    admin.kubectl("uncordon", node_of(platform))
    wait_warm(stack)
    print(
        f"\nthe idle one left {left_after:.1f} s after the drain began; it ended {held:.1f} s after the notebook's stop"
    )
