"""Why a pod ended, read from statuses in the order in which an API server of Kubernetes 1.36 sends them.

A status with the cause may follow the status with the end: see `spawner/pool/backends/kubernetes/pod_ends.py`. The
cause is recorded and shown to the user, whichever status the steward reads first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Limits
from spawner.instance.agent import SHUT_DOWN
from spawner.ledger import EndReason, InstanceState, SlotState
from spawner.pool.backends.base import Phase, SlotStatus
from spawner.pool.backends.kubernetes.client import Cluster
from spawner.pool.backends.kubernetes.manifest import ASSIGNED, ASSIGNED_LABEL, AWAITED, CONTAINER, SLOT_LABEL
from spawner.pool.backends.kubernetes.pod_ends import PRESTOP_MARK
from spawner.pool.backends.kubernetes.pods import read_pod
from spawner.pool.backends.kubernetes.watch import PodStore
from spawner.settings import KubernetesPool
from spawner.steward.reconcile import END_CAUSE_TIMEOUT, EndInstance, NoteEnd, cause_pending_since, decide
from tests.unit import make
from tests.unit.make import NOW, quick

Json = dict[str, Any]
ID = "containerd://4f1c0a"
RUNNING: Json = {"containerID": ID, "restartCount": 0, "started": True, "state": {"running": {"startedAt": "…"}}}


def exited(code: int, reason: str = "") -> Json:
    reason_of_state = reason or ("Completed" if code == 0 else "Error")
    ended = {"exitCode": code, "reason": reason_of_state, "containerID": ID}
    return {"containerID": ID, "restartCount": 0, "started": False, "state": {"terminated": ended}}


def ended_after_prestop(code: int) -> Json:
    """A container whose preStop hook has run."""
    found = exited(code)
    found["state"]["terminated"]["message"] = f"{PRESTOP_MARK}\n"
    return found


FORGOTTEN: Json = {
    "restartCount": 1,
    "started": False,
    "state": {"waiting": {"reason": "ContainerCreating"}},
    "lastState": {
        "terminated": {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was deleted.  The container used to be Running",
        }
    },
}
"""A container that containerd has lost. Without an id, because nothing was restarted."""
UNLOCATED: Json = {
    "restartCount": 1,
    "started": False,
    "state": {
        "terminated": {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was terminated",
        }
    },
}
VOLUME_FULL = 'Usage of EmptyDir volume "workspace" exceeds the limit "64Mi". '
POD_FULL = "Pod ephemeral local storage usage exceeds the total limit of containers 512Mi. "
CONTAINER_FULL = 'Container notebook exceeded its local ephemeral storage limit "512Mi". '
NODE_LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
TOO_LONG = "Pod was active on the node longer than the specified deadline"
SHUTDOWN = "Pod was terminated in response to imminent node shutdown."
CRITICAL = "Preempted in order to admit critical pod"


def disrupted(reason: str, message: str = "") -> Json:
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}


def pod(
    container: Json | None,
    phase: str = "Running",
    *conditions: Json,
    deleted: bool = False,
    assigned: str | None = ASSIGNED,
    version: int = 7,
    has_hook: bool = False,
    **status: str,
) -> Json:
    labels = {SLOT_LABEL: "one"} | ({ASSIGNED_LABEL: assigned} if assigned else {})
    metadata: Json = {"name": "freepool-one", "uid": "u", "resourceVersion": str(version), "labels": labels}
    if deleted:
        metadata["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    containers = [] if container is None else [{"name": CONTAINER, **container}]
    whole = {"phase": phase, "podIP": "10.244.0.9", "conditions": list(conditions), "containerStatuses": containers}
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "…"]}}} if has_hook else {}
    spec = {"nodeName": "node-1", "containers": [{"name": CONTAINER, "lifecycle": hook}]}
    return {"metadata": metadata, "spec": spec, "status": whole | status}


def status_of(found: Json) -> SlotStatus:
    read = read_pod(found)
    assert read is not None
    return read.status


@dataclass(frozen=True)
class PodEnd:
    """One end: the statuses after `RUNNING` in the server's order, and the correct reason."""

    reason: EndReason
    statuses: tuple[Json, ...]


EVICTION_API = disrupted("EvictionByEvictionAPI", "Eviction API: evicting")
PREEMPTION = disrupted("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod")
TAINT = disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
POD_GC = disrupted("DeletionByPodGC", "PodGC: node no longer exists")
DEVICE_TAINT = disrupted("DeletionByDeviceTaintManager", "Device Taint manager: deleting due to NoExecute taint")

ENDS: dict[str, PodEnd] = {
    "its volume is full": PodEnd(
        EndReason.OUT_OF_DISK,
        (pod(exited(143)), pod(exited(143), "Failed", reason="Evicted", message=VOLUME_FULL)),
    ),
    "the pod has filled its disk": PodEnd(
        EndReason.OUT_OF_DISK,
        (pod(exited(137)), pod(exited(137), "Failed", reason="Evicted", message=POD_FULL)),
    ),
    "the container has filled its disk": PodEnd(
        EndReason.OUT_OF_DISK,
        (pod(exited(143)), pod(exited(143), "Failed", reason="Evicted", message=CONTAINER_FULL)),
    ),
    "its volume is full, and containerd has forgotten the container": PodEnd(
        EndReason.OUT_OF_DISK,
        (pod(FORGOTTEN), pod(FORGOTTEN, "Failed", reason="Evicted", message=VOLUME_FULL)),
    ),
    "its volume is full, forgotten, then written down": PodEnd(
        EndReason.OUT_OF_DISK,
        (
            pod(exited(143)),
            pod(FORGOTTEN, "Failed", reason="Evicted", message=VOLUME_FULL),
            pod(UNLOCATED, "Failed", reason="Evicted", message=VOLUME_FULL),
        ),
    ),
    "the node is low on memory": PodEnd(
        EndReason.EVICTED,
        (
            pod(exited(143)),
            pod(exited(143), "Failed", disrupted("TerminationByKubelet", NODE_LOW), reason="Evicted", message=NODE_LOW),
        ),
    ),
    "the node is low on memory, and the program exits with 0": PodEnd(
        EndReason.EVICTED,
        (pod(exited(0)), pod(exited(0), "Succeeded", disrupted("TerminationByKubelet", NODE_LOW))),
    ),
    "its volume is full, and a program without the agent exits with 0": PodEnd(
        EndReason.OUT_OF_DISK,
        (pod(ended_after_prestop(0), has_hook=True), pod(ended_after_prestop(0), "Succeeded", has_hook=True)),
    ),
    "its longest time is over, and a program without the agent exits with 0": PodEnd(
        EndReason.DEADLINE,
        (
            pod(ended_after_prestop(0)),
            pod(ended_after_prestop(0), "Failed", reason="DeadlineExceeded", message=TOO_LONG),
        ),
    ),
    "a drain of a program without the agent": PodEnd(
        EndReason.LOST,
        (
            pod(RUNNING, "Running", EVICTION_API, deleted=True),
            pod(ended_after_prestop(0), "Succeeded", EVICTION_API, deleted=True),
        ),
    ),
    "the node needs its place for a critical pod": PodEnd(
        EndReason.EVICTED,
        (pod(exited(143)), pod(exited(143), "Failed", reason="Preempting", message=CRITICAL)),
    ),
    "the node is shut down": PodEnd(
        EndReason.LOST,
        (
            pod(exited(143)),
            pod(
                exited(143),
                "Failed",
                disrupted("TerminationByKubelet", SHUTDOWN),
                reason="Terminated",
                message=SHUTDOWN,
            ),
        ),
    ),
    "its longest time is over": PodEnd(
        EndReason.DEADLINE,
        (pod(exited(143)), pod(exited(143), "Failed", reason="DeadlineExceeded", message=TOO_LONG)),
    ),
    "out of memory": PodEnd(
        EndReason.OUT_OF_MEMORY,
        (pod(exited(137, "OOMKilled")), pod(exited(137, "OOMKilled"), "Failed")),
    ),
    "out of memory, which the runtime says late": PodEnd(
        EndReason.OUT_OF_MEMORY,
        (pod(exited(137)), pod(exited(137, "OOMKilled")), pod(exited(137, "OOMKilled"), "Failed")),
    ),
    "a drain": PodEnd(
        EndReason.LOST,
        (
            pod(RUNNING, "Running", EVICTION_API, deleted=True),
            pod(exited(143), "Running", EVICTION_API, deleted=True),
            pod(exited(143), "Failed", EVICTION_API, deleted=True),
        ),
    ),
    "preempted by the scheduler": PodEnd(
        EndReason.EVICTED,
        (
            pod(RUNNING, "Running", PREEMPTION, deleted=True),
            pod(exited(0), "Running", PREEMPTION, deleted=True),
            pod(exited(0), "Succeeded", PREEMPTION, deleted=True),
        ),
    ),
    "its node does not answer": PodEnd(EndReason.LOST, (pod(RUNNING, "Running", TAINT, deleted=True),)),
    "its device is tainted": PodEnd(EndReason.LOST, (pod(RUNNING, "Running", DEVICE_TAINT, deleted=True),)),
    "its node is gone": PodEnd(
        EndReason.LOST, (pod(RUNNING, "Failed", POD_GC), pod(RUNNING, "Failed", POD_GC, deleted=True))
    ),
    "deleted": PodEnd(
        EndReason.LOST,
        (pod(RUNNING, deleted=True), pod(exited(0), deleted=True), pod(exited(0), "Succeeded", deleted=True)),
    ),
    "its node is switched off and on again": PodEnd(
        EndReason.LOST, (pod(exited(255, "Unknown")), pod(exited(255, "Unknown"), "Failed"))
    ),
    "it ends by itself with exit code 255": PodEnd(EndReason.CRASHED, (pod(exited(255)), pod(exited(255), "Failed"))),
    "a drain, hours after a kernel ran out of memory": PodEnd(
        EndReason.LOST,
        (
            pod(RUNNING, "Running", EVICTION_API, deleted=True),
            pod(exited(143, "OOMKilled"), "Running", EVICTION_API, deleted=True),
            pod(exited(143, "OOMKilled"), "Failed", EVICTION_API, deleted=True),
        ),
    ),
    "it fails by itself, hours after a kernel ran out of memory": PodEnd(
        EndReason.CRASHED, (pod(exited(1, "OOMKilled")), pod(exited(1, "OOMKilled"), "Failed"))
    ),
    "forgotten by its node": PodEnd(EndReason.LOST, (pod(FORGOTTEN), pod(UNLOCATED, "Failed"))),
    "it ends by itself": PodEnd(EndReason.CRASHED, (pod(exited(0)), pod(exited(0), "Succeeded"))),
    "it fails by itself": PodEnd(EndReason.CRASHED, (pod(exited(1)), pod(exited(1), "Failed"))),
    "shut down in JupyterLab": PodEnd(EndReason.SHUT_DOWN, (pod(exited(SHUT_DOWN)), pod(exited(SHUT_DOWN), "Failed"))),
    "shut down in JupyterLab, hours after a kernel ran out of memory": PodEnd(
        EndReason.SHUT_DOWN, (pod(exited(SHUT_DOWN, "OOMKilled")), pod(exited(SHUT_DOWN, "OOMKilled"), "Failed"))
    ),
    "it is killed from inside": PodEnd(EndReason.CRASHED, (pod(exited(137)), pod(exited(137), "Failed"))),
}
EVERY = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())


async def recorded_end(statuses: list[Json], *, seen: list[bool], patience: timedelta) -> EndInstance | None:
    """The end that the steward records for these statuses of a pod. It misses those where `seen` is false, and waits
    for `patience` after the last one."""
    store = PodStore(Cluster(KubernetesPool(namespace="pool")))
    instance = make.instance("instance", slot_id="one")
    slot = make.slot("one", SlotState.CLAIMED, holder_id="instance")
    since: dict[str, Any] = {}

    def look(now: Any) -> EndInstance | None:
        nonlocal since, instance
        found = store.slots()
        since = cause_pending_since(found, since, now)
        actions = decide(slots=[slot], instances=[instance], found=found, now=now, limits=Limits(), cause_pending=since)
        for action in actions:
            match action:
                case EndInstance():
                    return action
                case NoteEnd(_, reason, detail):
                    instance = replace(instance, state=InstanceState.STOPPING, reason=reason, detail=detail)
        return None

    now = NOW
    for version, (status, is_seen) in enumerate(zip(statuses, seen, strict=True), start=1):
        read = read_pod(status | {"metadata": status["metadata"] | {"resourceVersion": str(version)}})
        assert read is not None
        await store.note(read)
        now += timedelta(milliseconds=300)
        if is_seen and (ending := look(now)) is not None:
            return ending
    ending = look(now) or look(now + patience)
    if ending is None and any("terminated" in str(status) for status in statuses):
        assert instance.state is InstanceState.STOPPING, "that it is over is known all the same"
    return ending


@EVERY
async def test_only_the_final_cause_is_recorded(end: PodEnd) -> None:
    statuses = [pod(RUNNING), *end.statuses]
    ending = await recorded_end(statuses, seen=[True] * len(statuses), patience=timedelta())
    assert ending is not None, "where the last status is known, nothing is waited for"
    assert ending.reason is end.reason


@quick
@given(st.sampled_from(sorted(ENDS)), st.data())
async def test_the_recorded_reason_is_right_whichever_statuses_are_seen(name: str, data: st.DataObject) -> None:
    end = ENDS[name]
    statuses = [pod(RUNNING), *end.statuses]
    seen = data.draw(st.lists(st.booleans(), min_size=len(statuses), max_size=len(statuses)))
    ending = await recorded_end(statuses, seen=seen, patience=timedelta())
    assert ending is not None
    assert ending.reason is end.reason
    assert end.reason is EndReason.CRASHED or "exit code 0" not in (ending.detail or "")


@quick
@given(st.sampled_from(sorted(ENDS)), st.data())
async def test_late_or_repeated_events_change_nothing(name: str, data: st.DataObject) -> None:
    """A resumed watch may repeat older events: the newest version of a pod counts."""
    end = ENDS[name]
    statuses = [pod(RUNNING), *end.statuses]
    order = data.draw(st.permutations([*range(len(statuses)), *range(len(statuses))]))
    store = PodStore(Cluster(KubernetesPool(namespace="pool")))
    for number in order:
        status = statuses[number]
        read = read_pod(status | {"metadata": status["metadata"] | {"resourceVersion": str(number + 1)}})
        assert read is not None
        await store.note(read)
    assert store.slots()["one"].reason is end.reason
    assert store.slots()["one"].is_final


@EVERY
def test_every_last_status_is_final(end: PodEnd) -> None:
    *_, last = map(status_of, end.statuses)
    assert (last.phase, last.reason, last.is_final) == (Phase.DEAD, end.reason, True)


@EVERY
def test_an_end_is_known_at_once(end: PodEnd) -> None:
    """The hub removes the route at the first status of an end, before its cause is known."""
    assert {status_of(status).phase for status in end.statuses} == {Phase.DEAD}


@EVERY
async def test_the_cause_is_recorded_where_the_pool_does_not_know_that_the_slot_is_assigned(end: PodEnd) -> None:
    """The pod lacks the label because `assign` did not reach the API server."""
    statuses = [
        status | {"metadata": status["metadata"] | {"labels": {SLOT_LABEL: "one"}}}
        for status in (pod(RUNNING), *end.statuses)
    ]
    ending = await recorded_end(statuses, seen=[True] * len(statuses), patience=timedelta())
    assert ending is not None
    assert ending.reason is end.reason


async def test_the_wait_for_a_cause_has_a_limit() -> None:
    """For example if a second container, injected by an admission webhook, goes on running."""
    statuses = [pod(RUNNING), pod(exited(1))]
    assert await recorded_end(statuses, seen=[True, True], patience=END_CAUSE_TIMEOUT - timedelta(seconds=1)) is None
    ending = await recorded_end(statuses, seen=[True, True], patience=END_CAUSE_TIMEOUT)
    assert ending is not None
    assert (ending.reason, ending.detail) == (EndReason.CRASHED, "exit code 1: Error")


def test_an_evicted_pod_with_a_lost_container_has_ended() -> None:
    """Restart count 1 and "ContainerCreating", though nothing was restarted: only the phase tells the end, because such
    a pod has no last state while it runs."""
    for phase in ("Running", "Failed"):
        status = status_of(pod(FORGOTTEN, phase))
        assert status.phase is Phase.DEAD, phase
        assert status.reason is EndReason.LOST
        assert "could not be located" in status.detail
    fresh = {"restartCount": 0, "started": False, "state": {"waiting": {"reason": "ContainerCreating"}}}
    assert status_of(pod(fresh, "Pending")).phase is Phase.CREATING


@pytest.mark.parametrize(
    ("found", "reason", "detail"),
    [
        (pod(exited(1), "Failed", assigned=None), EndReason.START_FAILED, "exit code 1: Error"),
        (pod(exited(1), "Failed", assigned=AWAITED), EndReason.START_FAILED, "exit code 1: Error"),
        (
            pod(
                None,
                "Failed",
                assigned=None,
                reason="OutOfcpu",
                message="Pod was rejected: Node didn't have enough cpu",
            ),
            EndReason.START_FAILED,
            "OutOfcpu: Pod was rejected: Node didn't have enough cpu",
        ),
        (pod(None, "Failed", assigned=None, reason="Evicted", message=NODE_LOW), EndReason.EVICTED, NODE_LOW),
        (
            pod(None, "Pending", EVICTION_API, deleted=True, assigned=None),
            EndReason.LOST,
            "EvictionByEvictionAPI: Eviction API: evicting",
        ),
    ],
)
def test_the_end_of_an_unassigned_or_awaited_pod_is_a_failed_start(found: Json, reason: EndReason, detail: str) -> None:
    assert (status_of(found).reason, status_of(found).detail) == (reason, detail)


def test_a_condition_with_status_false_is_no_cause() -> None:
    """The disruption controller sets it to False if the disruption did not happen."""
    stale = EVICTION_API | {"status": "False"}
    assert status_of(pod(exited(1), "Failed", stale)).reason is EndReason.CRASHED


def test_a_pod_that_is_to_be_disrupted_still_runs() -> None:
    assert status_of(pod(RUNNING, "Running", EVICTION_API)).phase is Phase.READY


@pytest.mark.parametrize("container", [None, exited(0), exited(143), RUNNING])
def test_a_program_that_ends_because_its_pod_is_deleted_has_not_ended_by_itself(container: Json | None) -> None:
    assert status_of(pod(container, deleted=True)).reason is EndReason.LOST


def test_a_cause_that_is_known_stays_the_cause() -> None:
    assert status_of(pod(exited(137, "OOMKilled"), deleted=True)).reason is EndReason.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("condition", "reason"),
    [(EVICTION_API, EndReason.LOST), (PREEMPTION, EndReason.EVICTED), (TAINT, EndReason.LOST)],
)
@pytest.mark.parametrize("code", [137, 143])
def test_a_pod_that_is_disrupted_did_not_run_out_of_memory(condition: Json, reason: EndReason, code: int) -> None:
    """Even if the kubelet kills it after the grace period. `OOMKilled` is from an earlier kernel of the notebook."""
    assert status_of(pod(exited(code, "OOMKilled"), "Failed", condition, deleted=True)).reason is reason


def test_a_pod_that_is_deleted_after_a_kernel_ran_out_of_memory_is_lost() -> None:
    assert status_of(pod(exited(143, "OOMKilled"), "Failed", deleted=True)).reason is EndReason.LOST


def test_a_program_that_fails_after_a_kernel_ran_out_of_memory_has_crashed() -> None:
    status = status_of(pod(exited(1, "OOMKilled"), "Failed"))
    assert (status.reason, status.detail) == (EndReason.CRASHED, "exit code 1")


def test_a_restart_of_the_node_is_the_reason() -> None:
    assert status_of(pod(exited(255, "Unknown"), "Failed")).detail == "its node has restarted"


@pytest.mark.parametrize(
    "found",
    [
        pod(ended_after_prestop(1), "Failed", has_hook=True),
        pod(ended_after_prestop(0), "Succeeded"),
        pod(ended_after_prestop(1), "Failed"),
    ],
)
def test_the_hooks_message_counts_only_with_a_hook_and_exit_code_0(found: Json) -> None:
    assert status_of(found).reason is EndReason.CRASHED


def test_control_characters_of_a_program_do_not_reach_a_status() -> None:
    ended = exited(1)
    ended["state"]["terminated"]["message"] = "a\0b\x1b[31mred\x1b]0;title\x07\x9b2J\ud800\nnext"
    assert status_of(pod(ended, "Failed")).detail == "exit code 1: a bred \nnext"


def test_an_unavailable_image_stays_the_cause_while_its_pod_is_deleted() -> None:
    waiting = {"restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    for deleted in (False, True):
        status = status_of(pod(waiting, "Pending", deleted=deleted, assigned=None))
        assert (status.reason, status.detail) == (EndReason.NO_IMAGE, "ImagePullBackOff: no such image")
