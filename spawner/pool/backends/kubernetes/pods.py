"""Reads a slot's status from its pod's JSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spawner.ledger.pool.rows import EndReason
from spawner.pool.backends.base import Phase, SlotStatus
from spawner.pool.backends.kubernetes.manifest import CONTAINER, PORT, SLOT_LABEL, is_assigned
from spawner.pool.backends.kubernetes.pod_ends import died_at, read_end, terminated_state

Json = Mapping[str, Any]
LONGEST_DETAIL = 500
USER_NAMESPACE_ERROR = re.compile(r"user ?(namespace|ns)|\bid-?map|[ug]id_map|IDMAP|remount-private", re.IGNORECASE)
"""Parts of the messages of runtimes and kernels that support no user namespaces."""
QUOTED_WORD = re.compile(r'"[^"\s]*"')
"""In such a message: the name of a command or a path, such as "start-userns.sh"."""
RUNTIME_REASONS = frozenset({"StartError", "ContainerCannotRun"})
"""Reasons whose message is the runtime's, because the program never ran. Any other message is the program's."""
NO_VERSION = 0
"""In place of a resource version: the answer to the deletion of a pod that vanishes meanwhile has none."""


@dataclass(frozen=True)
class Pod:
    """The part of a pod that is kept: hundreds of its thousands of bytes. `version` is its resource version."""

    name: str
    uid: str
    version: int
    leaving: bool
    placed: bool
    status: SlotStatus
    lacks_sandbox: bool = False
    """The pod has a user namespace, is bound to a node, and has no sandbox yet. That takes a second; on a node without
    support it never comes, and only an event says why, which Freepool may not read."""


def read_pod(pod: Json) -> Pod | None:
    """The pod; None where it has no slot label."""
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
    """The status of a slot whose node supports no user namespaces. No failure of its flavor."""
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
    """Whether the pod waits for its sandbox only. Not with external volumes, which a node attaches first, slowly."""
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
    assigned = is_assigned(pod["metadata"].get("labels", {}))
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
            died_at=died_at(container),
        )
    if status.get("phase") != "Running" or "running" not in container.get("state", {}):
        return SlotStatus(slot_id, Phase.CREATING, no_room=_no_room(status), assigned=assigned)
    # Not `ready`: Kubernetes marks all pods of an unreachable node unready while their notebooks run on.
    is_ready = container.get("started", False)
    phase = Phase.READY if is_ready and url else Phase.CREATING
    return SlotStatus(slot_id, phase, url, assigned=assigned, was_assigned=assigned)


def _container(pod: Json) -> Json:
    """The status of the notebook's container; empty until a kubelet has written it."""
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
