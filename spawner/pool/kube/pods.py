"""What a pod tells about its slot. Pure: the API server's JSON goes in, a status comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spawner.pool.backends.base import Phase, SlotStatus
from spawner.pool.kube.endings import read_ending
from spawner.pool.kube.manifest import AWAITED, CONTAINER, LENT_LABEL, PORT, SLOT_LABEL

Json = Mapping[str, Any]
LONGEST_DETAIL = 500
UNTOLD = 0
"""For a resource version: where a pod vanishes while it is being deleted, the API server's answer has none."""


@dataclass(frozen=True)
class Pod:
    """What is kept of a pod: a few hundred bytes of its several thousand. `version` is its resource version."""

    name: str
    uid: str
    version: int
    leaving: bool
    placed: bool
    status: SlotStatus


def read_pod(pod: Json) -> Pod | None:
    """A pod of ours; None for one that carries no slot."""
    metadata = pod["metadata"]
    slot_id = metadata.get("labels", {}).get(SLOT_LABEL)
    if not slot_id:
        return None
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata.get("resourceVersion", UNTOLD)),
        leaving="deletionTimestamp" in metadata,
        placed=bool(pod.get("spec", {}).get("nodeName")),
        status=_status(slot_id, pod),
    )


def _status(slot_id: str, pod: Json) -> SlotStatus:
    status = pod.get("status", {})
    lent = pod["metadata"].get("labels", {}).get(LENT_LABEL, AWAITED) != AWAITED
    url = _url(status)
    container: Json = next((one for one in status.get("containerStatuses", ()) if one["name"] == CONTAINER), {})
    ending = read_ending(pod, container, lent=lent)
    if ending is not None:
        return SlotStatus(
            slot_id, Phase.DEAD, url, ending.reason, ending.detail[:LONGEST_DETAIL], lent=lent, settled=ending.settled
        )
    if status.get("phase") != "Running" or "running" not in container.get("state", {}):
        return SlotStatus(slot_id, Phase.CREATING, no_room=_no_room(status), lent=lent)
    # Not `ready`: Kubernetes makes all pods of a node unready that does not answer, and their notebooks still run.
    is_ready = container.get("started", False)
    return SlotStatus(slot_id, Phase.READY if is_ready and url else Phase.CREATING, url, lent=lent)


def _url(status: Json) -> str | None:
    address = status.get("podIP")
    if not address:
        return None
    return f"http://[{address}]:{PORT}" if ":" in address else f"http://{address}:{PORT}"


def _no_room(status: Json) -> str:
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return str(condition.get("message") or "no node has room for it")
    return ""
