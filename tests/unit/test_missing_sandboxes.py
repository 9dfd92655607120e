"""A node without user namespaces is recognized by the status of a pod that gets no sandbox or no container."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from spawner.ledger import EndReason
from spawner.pool.backends.base import Phase, SlotStatus
from spawner.pool.backends.kubernetes import watch
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.pool.backends.kubernetes.manifest import SLOT_LABEL
from tests.unit.user_namespaces import CREATING, NO_SANDBOX, POOL, pod, status_of_pod


@pytest.mark.parametrize(
    ("found", "lacks"),
    [
        (pod(CREATING, NO_SANDBOX), True),
        (pod(CREATING, NO_SANDBOX | {"status": "True"}), False),
        (pod(CREATING), False),  # no kubelet has reported anything yet
        (pod(CREATING, NO_SANDBOX, hostUsers=True), False),
        (pod(CREATING, NO_SANDBOX, volumes=[{"name": "x", "persistentVolumeClaim": {"claimName": "x"}}]), False),
    ],
)
def test_a_missing_sandbox_is_detected(found: dict[str, Any], lacks: bool) -> None:
    assert status_of_pod(found).lacks_sandbox is lacks
    assert status_of_pod(found).status.phase is Phase.CREATING


@pytest.mark.parametrize(
    "message",
    [
        "failed to set MOUNT_ATTR_IDMAP on /var/lib/kubelet: invalid argument (maybe not supported by it)",
        "can't set `spec.hostUsers: false`, runtime does not support user namespaces",
        "error during container init: write uid_map: operation not permitted",
        "id-mapped mounts are not supported",
    ],
)
def test_a_container_that_fails_for_its_user_namespace_is_the_nodes_failure(message: str) -> None:
    for reason in ("CreateContainerError", "RunContainerError"):
        waiting = {"waiting": {"reason": reason, "message": message}}
        status = status_of_pod(pod(waiting)).status
        assert (status.phase, status.reason, status.lacks_user_namespace) == (Phase.DEAD, EndReason.LOST, True)
        assert message in status.detail
        assert not status_of_pod(pod(waiting, hostUsers=True)).status.lacks_user_namespace


def test_a_container_that_fails_for_another_reason_is_not_the_nodes_failure() -> None:
    waiting = {"waiting": {"reason": "RunContainerError", "message": 'exec: "jupyter": executable file not found'}}
    status = status_of_pod(pod(waiting)).status
    assert (status.reason, status.lacks_user_namespace) == (EndReason.START_FAILED, False)


@pytest.mark.parametrize("name", ["start-userns.sh", "/opt/idmap/run", "remount-private"])
def test_the_name_of_a_command_says_nothing_about_its_node(name: str) -> None:
    message = f'runc create failed: exec: "{name}": executable file not found in $PATH: unknown'
    status = status_of_pod(pod({"waiting": {"reason": "RunContainerError", "message": message}})).status
    assert (status.reason, status.lacks_user_namespace) == (EndReason.START_FAILED, False)


def test_a_programs_own_message_says_nothing_about_its_node() -> None:
    def ended(reason: str, code: int, message: str) -> SlotStatus:
        terminated = pod({"terminated": {"exitCode": code, "reason": reason, "message": message}})
        terminated["status"]["phase"] = "Failed"
        return status_of_pod(terminated).status

    for message in ("bwrap: No permissions to create a new user namespace", "ImportError: no module named gridmap"):
        status = ended("Error", 1, message)
        assert (status.reason, status.lacks_user_namespace) == (EndReason.START_FAILED, False)
    status = ended("StartError", 128, "write uid_map: operation not permitted")
    assert (status.reason, status.lacks_user_namespace) == (EndReason.LOST, True)


async def test_time_without_a_watch_does_not_count_against_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    store = KubernetesBackend(POOL)._store
    lacking = status_of_pod(pod(CREATING, NO_SANDBOX))
    await store.note(lacking)
    store._without_sandbox["u"] -= 60

    async def listed(_: object) -> tuple[dict[str, Any], str]:
        return {"u": lacking}, "7"

    monkeypatch.setattr(watch, "list_pods", listed)
    await store._list()
    assert store.slots()["s"].phase is Phase.CREATING
    assert (store.patience() or 0) > watch.SANDBOX_SECONDS - 1


async def test_the_time_in_which_this_process_was_frozen_does_not_count_against_a_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After it an event of another pod is read first, and then the event that the sandbox exists."""
    backend = KubernetesBackend(POOL)
    loop = asyncio.get_running_loop()
    frozen = 0.0
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + frozen)

    async def listed(_: object) -> tuple[dict[str, Any], str]:
        return {}, "0"

    def line(found: dict[str, Any]) -> bytes:
        return json.dumps({"type": "MODIFIED", "object": found}).encode()

    other = pod(CREATING, version=2)
    other["metadata"] |= {"uid": "v", "name": "freepool-t", "labels": {SLOT_LABEL: "t"}}

    async def lines() -> AsyncGenerator[bytes, None]:
        nonlocal frozen
        yield line(pod(CREATING, NO_SANDBOX))
        frozen = 20.0
        yield line(other)
        yield line(pod(CREATING, NO_SANDBOX | {"status": "True"}, version=3))
        await asyncio.Event().wait()

    @asynccontextmanager
    async def watching(*_: object, **__: object) -> AsyncGenerator[AsyncGenerator[bytes, None], None]:
        yield lines()

    monkeypatch.setattr(watch, "list_pods", listed)
    monkeypatch.setattr(backend._cluster, "watching", watching)
    judged = []
    async with asyncio.timeout(10), aclosing(backend._store.follow()) as changes:
        async for _ in changes:
            found = await backend.list()
            judged.append("s" in found and found["s"].lacks_user_namespace)
            if len(judged) == 4:
                break
    assert True not in judged


async def test_a_slot_whose_sandbox_is_overdue_is_dead_and_watchers_are_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "SANDBOX_SECONDS", 0.1)
    backend = KubernetesBackend(POOL)
    store = backend._store

    async def silence() -> AsyncGenerator[None, None]:
        """A watch without events after the first list."""
        yield None
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "follow", silence)
    wakes = 0
    async with asyncio.timeout(10), aclosing(backend.watch()) as woken:
        async for _ in woken:
            wakes += 1
            if wakes == 1:
                assert store.patience() is None
                await store.note(status_of_pod(pod(CREATING, NO_SANDBOX)))
                assert store.slots()["s"].phase is Phase.CREATING
            status = store.slots()["s"]
            if status.phase is Phase.DEAD:
                break
    assert (status.reason, status.lacks_user_namespace, status.node) == (EndReason.LOST, True, "node-1")
    assert status.is_silent
    assert "node-1 made no sandbox with a user namespace" in status.detail
    assert store.patience() is None, "the watch wakes once"


async def test_the_watch_wakes_when_a_pod_begins_to_wait_for_its_sandbox() -> None:
    """The slot's status does not change, but the wait for the sandbox begins."""
    store = KubernetesBackend(POOL)._store
    events = [pod(CREATING, version=1), pod(CREATING, NO_SANDBOX, version=2), pod(CREATING, NO_SANDBOX, version=3)]
    wakes_watchers = [store._take({"type": "MODIFIED", "object": found}) for found in events]
    assert wakes_watchers == [True, True, False]
    assert store.patience() is not None


async def test_a_sandbox_that_comes_in_time_is_not_waited_for_any_more() -> None:
    store = KubernetesBackend(POOL)._store
    await store.note(status_of_pod(pod(CREATING, NO_SANDBOX)))
    assert store.patience() is not None
    await store.note(status_of_pod(pod(CREATING, NO_SANDBOX | {"status": "True"}, version=2)))
    assert store.patience() is None
    assert store.slots()["s"].phase is Phase.CREATING
