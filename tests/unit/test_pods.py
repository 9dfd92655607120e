"""How the status of a pod is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from spawner.ledger import EndReason
from spawner.pool.backends.base import SlotStatus
from spawner.pool.backends.kubernetes.client import Cluster
from spawner.pool.backends.kubernetes.manifest import ASSIGNED_LABEL, CONTAINER, SLOT_LABEL
from spawner.pool.backends.kubernetes.pods import read_pod
from spawner.pool.backends.kubernetes.watch import PodStore
from spawner.settings import KubernetesPool


def ended(**terminated: Any) -> SlotStatus:
    """The status of an assigned pod with a terminated container."""
    labels = {SLOT_LABEL: "s", ASSIGNED_LABEL: "true"}
    containers = [{"name": CONTAINER, "state": {"terminated": terminated}}]
    pod = read_pod(
        {
            "metadata": {"name": "freepool-s", "uid": "u", "resourceVersion": "1", "labels": labels},
            "status": {"phase": "Failed", "containerStatuses": containers},
        }
    )
    assert pod is not None
    return pod.status


@pytest.mark.parametrize(
    ("code", "status_reason", "reason"),
    [
        (137, "OOMKilled", EndReason.OUT_OF_MEMORY),
        (0, "OOMKilled", EndReason.CRASHED),  # a notebook's, earlier on: the server went on, and has left by itself
        (137, "Error", EndReason.CRASHED),
        (0, "Completed", EndReason.CRASHED),
    ],
)
def test_out_of_memory_is_the_reason_only_where_the_server_was_killed(
    code: int, status_reason: str, reason: EndReason
) -> None:
    assert ended(exitCode=code, reason=status_reason).reason is reason


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", None),  # the container runtime had lost it
        ("2026-03-01T09:00:00Z", None),  # before its start
        (None, None),
    ],
)
def test_the_time_of_an_end_is_the_kubelets(finished: str | None, expected: datetime | None) -> None:
    found = ended(exitCode=1, reason="Error", startedAt="2026-03-01T10:00:00Z", finishedAt=finished)
    assert found.died_at == expected


async def test_a_pod_that_vanishes_during_its_deletion_is_gone() -> None:
    metadata = {"name": "freepool-s", "uid": "u", "labels": {SLOT_LABEL: "s"}}  # no resource version
    pod = read_pod({"metadata": metadata})
    assert pod is not None
    store = PodStore(Cluster(KubernetesPool(namespace="pool")))
    await store.note(pod)
    assert store.slots() == {}
    await store.note(replace(pod, version=7))
    assert store.slots().keys() == {"s"}
