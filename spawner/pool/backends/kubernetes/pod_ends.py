"""Reads from a pod's JSON why it ended. Pure.

Kubernetes writes the end before its cause. The kubelet publishes the end of a container (exit code 0, 137 or 143)
while the pod's phase is still `Running`; why it ended the container (`Evicted`, `DeadlineExceeded`, `Preempting`, a
shutdown of the node) follows with the terminal phase, `Failed` or `Succeeded`. What deletes a pod (scheduler, eviction
API, taint manager, pod garbage collector) writes the condition `DisruptionTarget` first. So a reason is final
(`is_final`) once the phase is terminal or the pod is being deleted, and not before.

Kubernetes loses the reason of an eviction where the container exits with 0 when it is told to end: its phase is then
`Succeeded` (since 1.27, kubernetes/kubernetes#118310). So the agent exits with 143 after SIGTERM. A container without
the agent writes `PRESTOP_MARK` to its termination message from a preStop hook, which does not run where a program ends
by itself. All other causes are visible otherwise: `DisruptionTarget`, `DeadlineExceeded`, the deletion. So the mark
alone means an eviction for the pod's own disk use. (The hook also runs where the pod's sandbox dies, which does not
happen by itself.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spawner.instance.agent import SHUT_DOWN
from spawner.ledger.pool.rows import EndReason

Json = Mapping[str, Any]
NO_IMAGE = frozenset({"ErrImageNeverPull", "ImageInspectError", "ImagePullBackOff", "InvalidImageName"})
NO_CONTAINER = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""Waiting reasons that are permanent. (`ErrImagePull` is not: the kubelet retries.)"""
OWN_LIMIT_MESSAGES = (
    "Usage of EmptyDir volume",
    "exceeded its local ephemeral storage limit",
    "usage exceeds the total limit",
)
"""Parts of the kubelet's messages for an eviction because of the pod's own disk use, not because of node pressure."""
SHUTDOWN = ("Terminated", "Shutdown", "NodeShutdown", "NodeLost")
"""Pod reasons caused by the node: it shuts down, or is unreachable for long."""
PRESTOP_MARK = "freepool: the node ends this container"
UNKNOWN_STATUS = "ContainerStatusUnknown"
"""The kubelet's reason where the container runtime has lost a container."""
RUNTIME_LOST_IT = (255, "Unknown")
"""Exit code and reason of a container that containerd no longer finds after a restart, such as a reboot of the node. A
program's own exit code 255 has the reason `Error`."""
OOM = "OOMKilled"
KILLED = 137
"""Exit code after SIGKILL: 128 + 9."""


@dataclass(frozen=True)
class PodEnd:
    """Why a pod ended, with the cluster's message. Until `is_final` a better reason may follow."""

    reason: EndReason
    detail: str
    is_final: bool = True


def read_end(pod: Json, container: Json, *, assigned: bool) -> PodEnd | None:
    """The end of a pod with this container status; None while it runs."""
    status = pod.get("status", {})
    is_deleted = "deletionTimestamp" in pod["metadata"]
    is_terminal = status.get("phase") in ("Failed", "Succeeded")
    terminated = terminated_state(container)
    if not (is_terminal or is_deleted or terminated):
        return _never_begins(container)
    told = _told(status, assigned=assigned) if is_terminal or is_deleted else None
    is_final = is_terminal or is_deleted
    if told is not None:
        return told
    disrupted = _disrupted(status)
    if disrupted is not None and is_deleted:
        return disrupted
    # The runtime also says so where only a kernel ran out of memory earlier, and the server ends for another reason.
    if terminated.get("reason") == OOM and terminated.get("exitCode") == KILLED:
        return PodEnd(EndReason.OUT_OF_MEMORY, str(status.get("message") or ""), is_final)
    if disrupted is not None:
        return disrupted
    if is_deleted:
        # The program ended after SIGTERM.
        never = _never_begins(container)
        has_no_image = never is not None and never.reason is EndReason.NO_IMAGE
        return never if has_no_image else PodEnd(EndReason.LOST, "its pod was deleted")
    if status.get("phase") == "Succeeded" and _has_prestop_hook(pod) and _own_message(terminated) == PRESTOP_MARK:
        return PodEnd(EndReason.OUT_OF_DISK, "evicted for its own use of the disk")
    return PodEnd(*_why_it_terminated(terminated, str(status.get("message") or ""), assigned=assigned), is_final)


def _has_prestop_hook(pod: Json) -> bool:
    containers = pod.get("spec", {}).get("containers", ())
    return any("preStop" in (container.get("lifecycle") or {}) for container in containers)


def _own_message(terminated: Json) -> str:
    return str(terminated.get("message") or "").strip()


def terminated_state(container: Json) -> Json:
    """The container's terminated state; empty while it runs.

    A container that the runtime has lost is shown as waiting (`ContainerCreating`), with a restart count of 1 and its
    end as the last state. It was not restarted: `restartPolicy` is `Never`, so a last state means the end.
    """
    state = container.get("state", {})
    last = container.get("lastState", {}).get("terminated", {})
    found: Json = state.get("terminated") or ({} if "running" in state else last)
    return found


def died_at(container: Json) -> datetime | None:
    """When the container ended, as its kubelet recorded it; None while it runs, and where the runtime had lost it.

    The runtime then says null or 1970. It is the node's clock.
    """
    ended = terminated_state(container)
    try:
        found = datetime.fromisoformat(str(ended.get("finishedAt")))
        began = datetime.fromisoformat(str(ended.get("startedAt") or "1970-01-02T00:00:00Z"))
    except ValueError:
        return None
    return found if found.tzinfo is not None and began.tzinfo is not None and found >= began else None


def _never_begins(container: Json) -> PodEnd | None:
    waiting = container.get("state", {}).get("waiting", {})
    for reason, words in ((EndReason.NO_IMAGE, NO_IMAGE), (EndReason.START_FAILED, NO_CONTAINER)):
        if waiting.get("reason") in words:
            return PodEnd(reason, f"{waiting['reason']}: {waiting.get('message', '')}")
    return None


def _told(status: Json, *, assigned: bool) -> PodEnd | None:
    """From the pod's `reason`, which only Kubernetes writes."""
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if not reason:
        return None
    if reason == "Evicted":
        own = any(part in message for part in OWN_LIMIT_MESSAGES)
        return PodEnd(EndReason.OUT_OF_DISK if own else EndReason.EVICTED, message)
    if reason == "DeadlineExceeded":
        return PodEnd(EndReason.DEADLINE, message)
    if reason == "Preempting":  # the kubelet preempted it for a critical pod of the node
        return PodEnd(EndReason.EVICTED, message)
    if reason in SHUTDOWN:
        return PodEnd(EndReason.LOST, message)
    # Such as OutOfcpu or UnexpectedAdmissionError: the node did not admit the pod.
    return PodEnd(EndReason.LOST if assigned else EndReason.START_FAILED, f"{reason}: {message}")


def _disrupted(status: Json) -> PodEnd | None:
    """From the condition `DisruptionTarget`, which Kubernetes sets before it disrupts a pod."""
    for condition in status.get("conditions", ()):
        if condition["type"] == "DisruptionTarget" and condition.get("status") == "True":
            reason, message = str(condition.get("reason") or ""), str(condition.get("message") or "")
            ran_short = reason == "PreemptionByScheduler" or (
                reason == "TerminationByKubelet" and "shutdown" not in message
            )
            detail = f"{reason}: {message}" if message else reason
            return PodEnd(EndReason.EVICTED if ran_short else EndReason.LOST, detail)
    return None


def _why_it_terminated(terminated: Json, message: str, *, assigned: bool) -> tuple[EndReason, str]:
    code, reason = terminated.get("exitCode"), terminated.get("reason")
    if (code, reason) == RUNTIME_LOST_IT:
        return EndReason.LOST, _own_message(terminated) or "its node has restarted"
    if reason == OOM:  # not what ended it, see `read_end`
        reason = None
    if code == SHUT_DOWN:  # only a claimed one can be shut down
        return EndReason.SHUT_DOWN, ""
    last_words = (_own_message(terminated) or message or str(reason or "")).strip()
    if reason == UNKNOWN_STATUS or (assigned and not terminated):
        return EndReason.LOST, last_words or "its node knows nothing of it"
    parts = ([] if code is None else [f"exit code {code}"]) + [last_words]
    detail = ": ".join(part for part in parts if part)
    return (EndReason.CRASHED if assigned else EndReason.START_FAILED), detail
