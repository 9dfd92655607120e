"""Pods with a user namespace, and what is known about the nodes that support them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.backends.kubernetes.manifest import CONTAINER, SLOT_LABEL
from spawner.pool.backends.kubernetes.pods import read_pod
from spawner.settings import KubernetesPool
from tests.unit.make import NOW

POOL = KubernetesPool(namespace="pool")
WORKS = NodeSupport("small", "node-1", True, "", NOW - timedelta(hours=1))
REFUSED = NodeSupport("small", "node-2", False, "no sandbox", NOW - timedelta(hours=1))
NO_SANDBOX = {"type": "PodReadyToStartContainers", "status": "False"}
CREATING = {"waiting": {"reason": "ContainerCreating"}}


def pod(state: dict[str, Any], *conditions: dict[str, Any], version: int = 1, **spec: Any) -> dict[str, Any]:
    """A pod of the API server while the node reports `FailedCreatePodSandBox: … remount-private …: permission denied`,
    which is in an event only."""
    metadata = {"name": "freepool-s", "uid": "u", "resourceVersion": str(version), "labels": {SLOT_LABEL: "s"}}
    body = {"nodeName": "node-1", "hostUsers": False, "volumes": [{"name": "home", "emptyDir": {}}]} | spec
    status = {
        "phase": "Pending",
        "conditions": list(conditions),
        "containerStatuses": [{"name": CONTAINER, "restartCount": 0, "started": False, "state": state}],
    }
    return {"metadata": metadata, "spec": body, "status": status}


def status_of_pod(found: dict[str, Any]) -> Any:
    made = read_pod(found)
    assert made is not None
    return made
