"""What a pod tells about its slot. Pure: the API server's JSON goes in, a status comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spawner.ledger.pool.rows import EndReason
from spawner.pool.backends.base import Phase, SlotStatus
from spawner.pool.backends.kubernetes.manifest import ASSIGNED_LABEL, AWAITED, CONTAINER, PORT, SLOT_LABEL
from spawner.pool.backends.kubernetes.pod_ends import read_end, terminated_state

Json = Mapping[str, Any]
LONGEST_DETAIL = 500
USER_NAMESPACE_ERROR = re.compile(r"user ?(namespace|ns)|\bid-?map|[ug]id_map|IDMAP|remount-private", re.IGNORECASE)
"""What runtimes and kernels say where users of its own are why a container cannot be made."""
QUOTED_WORD = re.compile(r'"[^"\s]*"')
"""In such a message: the name of a command or a path, such as "start-userns.sh"."""
RUNTIME_REASONS = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons of an end whose message is the runtime's: the program has not run. Any other message is the program's own."""
NO_VERSION = 0
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
    lacks_sandbox: bool = False
    """Its node has taken it in with users of its own, and has made no sandbox for it yet. That takes a second; where
    the node cannot give it users of its own it never comes, and only an event says why, which we may not read."""


def read_pod(pod: Json) -> Pod | None:
    """A pod of ours; None for one that carries no slot."""
    metadata = pod["metadata"]
    slot_id = metadata.get("labels", {}).get(SLOT_LABEL)
    if not slot_id:
        return None
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata.get("resourceVersion", NO_VERSION)),
        leaving="deletionTimestamp" in metadata,
        placed=bool(pod.get("spec", {}).get("nodeName")),
        status=_on_its_node(_status(slot_id, pod), pod),
        lacks_sandbox=_lacks_sandbox(pod),
    )


def _on_its_node(status: SlotStatus, pod: Json) -> SlotStatus:
    spec = pod.get("spec", {})
    user_namespace = spec.get("hostUsers") is False
    status = replace(status, node=spec.get("nodeName", ""), user_namespace=user_namespace)
    never_began = status.phase is Phase.DEAD and status.reason is EndReason.START_FAILED
    ended = terminated_state(_container(pod))
    by_runtime = not ended or ended.get("reason") in RUNTIME_REASONS
    if user_namespace and never_began and by_runtime and _names_user_namespaces(status.detail):
        return without_user_namespace(status, status.detail)
    return status


def _names_user_namespaces(message: str) -> bool:
    return USER_NAMESPACE_ERROR.search(QUOTED_WORD.sub("", message)) is not None


def without_user_namespace(status: SlotStatus, detail: str, *, is_silent: bool = False) -> SlotStatus:
    """The status of a slot that its node cannot give users of its own. The node's fault, not the flavor's."""
    return replace(
        status,
        phase=Phase.DEAD,
        reason=EndReason.LOST,
        detail=detail[:LONGEST_DETAIL],
        is_final=True,
        lacks_user_namespace=True,
        is_silent=is_silent,
    )


def _lacks_sandbox(pod: Json) -> bool:
    """Not where volumes come from elsewhere: a node attaches them first, and that takes its time."""
    spec, status = pod.get("spec", {}), pod.get("status", {})
    is_waiting = any(
        one["type"] == "PodReadyToStartContainers" and one.get("status") == "False"
        for one in status.get("conditions", ())
    )
    is_plain = all("emptyDir" in volume for volume in spec.get("volumes", ()))
    return (
        is_waiting
        and is_plain
        and spec.get("hostUsers") is False
        and status.get("phase") == "Pending"
        and "deletionTimestamp" not in pod["metadata"]
    )


def _status(slot_id: str, pod: Json) -> SlotStatus:
    status = pod.get("status", {})
    assigned = pod["metadata"].get("labels", {}).get(ASSIGNED_LABEL, AWAITED) != AWAITED
    url = _url(status)
    container = _container(pod)
    ending = read_end(pod, container, assigned=assigned)
    if ending is not None:
        return SlotStatus(
            slot_id,
            Phase.DEAD,
            url,
            ending.reason,
            ending.detail[:LONGEST_DETAIL],
            assigned=assigned,
            is_final=ending.is_final,
        )
    if status.get("phase") != "Running" or "running" not in container.get("state", {}):
        return SlotStatus(slot_id, Phase.CREATING, no_room=_no_room(status), assigned=assigned)
    # Not `ready`: Kubernetes makes all pods of a node unready that does not answer, and their notebooks still run.
    is_ready = container.get("started", False)
    return SlotStatus(slot_id, Phase.READY if is_ready and url else Phase.CREATING, url, assigned=assigned)


def _container(pod: Json) -> Json:
    """The status of the notebook's container; empty before a kubelet has written it."""
    found = pod.get("status", {}).get("containerStatuses", ())
    return next((one for one in found if one["name"] == CONTAINER), {})


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
