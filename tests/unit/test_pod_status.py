"""Why a pod ended, where that is not what its program's exit says."""

from __future__ import annotations

from typing import Any

import pytest

from spawner.ledger import EndReason
from spawner.pool.kube.manifest import LENT_LABEL, SLOT_LABEL
from spawner.pool.kube.pods import read_pod


def reason(*, deleted: bool, lent: bool = True, **terminated: Any) -> EndReason | None:
    metadata: dict[str, Any] = {
        "name": "freepool-one",
        "uid": "u",
        "resourceVersion": "7",
        "labels": {SLOT_LABEL: "one"} | ({LENT_LABEL: "true"} if lent else {}),
    }
    if deleted:
        metadata["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    state = {"terminated": terminated} if terminated else {"running": {}}
    status = {"phase": "Running", "containerStatuses": [{"name": "notebook", "state": state}]}
    pod = read_pod({"metadata": metadata, "spec": {}, "status": status})
    assert pod is not None
    return pod.status.reason


def test_a_program_that_ends_by_itself_has_crashed() -> None:
    assert reason(deleted=False, exitCode=0) is EndReason.CRASHED
    assert reason(deleted=False, lent=False, exitCode=1) is EndReason.START_FAILED


@pytest.mark.parametrize("terminated", [{}, {"exitCode": 0}, {"exitCode": 143}])
def test_a_program_that_ends_because_its_pod_is_deleted_has_not(terminated: dict[str, Any]) -> None:
    """Such as by an eviction: the user is told that the platform lost it, whichever event is seen first."""
    assert reason(deleted=True, **terminated) is EndReason.LOST


def test_a_cause_that_is_known_stays_the_cause() -> None:
    assert reason(deleted=True, exitCode=137, reason="OOMKilled") is EndReason.OUT_OF_MEMORY
