"""What a pod tells about its slot. Pure: the API server's JSON goes in, a status comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spawner.ledger.model import EndReason
from spawner.pool.backends.base import Phase, SlotStatus
from spawner.pool.kube.manifest import CONTAINER, LENT_LABEL, PORT, SLOT_LABEL

Json = Mapping[str, Any]
NO_IMAGE = frozenset({"ErrImageNeverPull", "ImageInspectError", "ImagePullBackOff", "InvalidImageName"})
NO_CONTAINER = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""Reasons of a waiting container that do not pass by themselves. (`ErrImagePull` is the first try of several.)"""
LONGEST_DETAIL = 500
UNTOLD = 0
"""For a resource version: where a pod vanishes while it is being deleted, the API server's answer has none."""
BY_ITSELF = (EndReason.CRASHED, EndReason.START_FAILED)


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
    lent = LENT_LABEL in pod["metadata"].get("labels", {})
    url = _url(status)
    container: Json = next((one for one in status.get("containerStatuses", ()) if one["name"] == CONTAINER), {})
    state = container.get("state", {})
    ended = _why_it_ended(status, state, lent=lent)
    if "deletionTimestamp" in pod["metadata"] and (ended is None or ended[0] in BY_ITSELF):
        # Its program ended because it was told to.
        ended = EndReason.LOST, "its pod was deleted"
    if ended is not None:
        reason, detail = ended
        return SlotStatus(slot_id, Phase.DEAD, url, reason, detail[:LONGEST_DETAIL], lent=lent)
    if status.get("phase") != "Running" or "running" not in state:
        return SlotStatus(slot_id, Phase.CREATING, no_room=_no_room(status), lent=lent)
    # Not `ready`: a node that is away makes its pods unready, and older kubelets are a minute late with it.
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


def _why_it_ended(status: Json, state: Json, *, lent: bool) -> tuple[EndReason, str] | None:
    """The reason and the cluster's own words for it; None while it lives."""
    if status.get("phase") in ("Failed", "Succeeded") or "terminated" in state:
        message = str(status.get("message") or "")
        if status.get("reason") == "Evicted":
            # The kubelet names what was full: the pod's own volume or limit, or the node.
            own = any(word in message for word in ("EmptyDir", "emptyDir", "ephemeral local storage usage exceeds"))
            return (EndReason.OUT_OF_DISK if own else EndReason.EVICTED), message
        if status.get("reason") == "DeadlineExceeded":
            return EndReason.DEADLINE, message
        return _why_it_terminated(state.get("terminated", {}), message, lent=lent)
    waiting = state.get("waiting", {})
    for reason, words in ((EndReason.NO_IMAGE, NO_IMAGE), (EndReason.START_FAILED, NO_CONTAINER)):
        if waiting.get("reason") in words:
            return reason, f"{waiting['reason']}: {waiting.get('message', '')}"
    return None


def _why_it_terminated(terminated: Json, message: str, *, lent: bool) -> tuple[EndReason, str]:
    code = terminated.get("exitCode")
    # The runtime says so too where only a notebook ran out of memory, earlier on, and the server now leaves in peace.
    if terminated.get("reason") == "OOMKilled" and code != 0:
        return EndReason.OUT_OF_MEMORY, message
    last_words = str(terminated.get("message") or message or terminated.get("reason") or "").strip()
    detail = f"exit code {code}: {last_words}" if code is not None else last_words
    return (EndReason.CRASHED if lent else EndReason.START_FAILED), detail
