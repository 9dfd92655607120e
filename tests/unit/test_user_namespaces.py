"""User namespaces: what pods show of their nodes, and what is decided for the next pods."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Accelerator, Flavor, PodFields
from spawner.desk.admin.state import AdminStateBuilder, read_admin
from spawner.desk.admin.views import UserNamespacesView
from spawner.desk.i18n import load_translations
from spawner.desk.views import UserView
from spawner.ledger import EndReason, SlotState, open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.pool import user_namespaces
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.backends.base import Phase, SlotSpec, SlotStatus
from spawner.pool.backends.kubernetes import watch
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.pool.backends.kubernetes.manifest import CONTAINER, SLOT_LABEL, make_manifest
from spawner.pool.backends.kubernetes.pods import read_pod, without_user_namespace
from spawner.pool.user_namespaces import (
    NODE_DOWN_AFTER,
    REFRESH_EVERY,
    RETRY_AFTER,
    NamespaceReason,
    Silences,
    decide,
    new_observations,
    silent_since,
)
from spawner.settings import KubernetesPool
from tests.unit import make
from tests.unit.make import GIB, NOW, quick

POOL = KubernetesPool(namespace="pool")
WORKS = NodeSupport("small", "node-1", True, "", NOW - timedelta(hours=1))
REFUSED = NodeSupport("small", "node-2", False, "no sandbox", NOW - timedelta(hours=1))


def host_users(flavor: Flavor, *, user_namespace: bool) -> Any:
    """What the pod of such a flavor says; None where it says nothing, which means the node's users."""
    image = make.image("light").model_copy(update={"reference": "light:1"})
    spec = SlotSpec("s", flavor, image, b"k" * 32, user_namespace=user_namespace)
    return make_manifest(spec, POOL)["spec"].get("hostUsers")


def test_the_catalogs_setting_decides() -> None:
    for said in (True, False):
        flavor = make.flavor(pod=PodFields(host_users=said))
        for user_namespace in (True, False):
            assert host_users(flavor, user_namespace=user_namespace) is said
        catalog = make.catalog(flavor)
        assert decide(catalog, flavor, [WORKS, REFUSED], NOW).why is (
            NamespaceReason.CATALOG_HOST if said else NamespaceReason.CATALOG_OWN
        )
        assert decide(catalog, flavor, [], NOW).own is not said


def test_without_a_setting_what_nodes_have_shown_decides() -> None:
    assert host_users(make.flavor(), user_namespace=True) is False
    assert host_users(make.flavor(), user_namespace=False) is None


def test_a_flavor_with_devices_gets_no_user_namespace() -> None:
    gpu = make.flavor(accelerator=Accelerator(name="A10", memory=GIB))
    assert decide(make.catalog(gpu), gpu, [WORKS], NOW).why is NamespaceReason.ACCELERATOR
    assert not decide(make.catalog(gpu), gpu, [], NOW).own


def test_user_namespaces_are_used_until_a_node_fails() -> None:
    catalog = make.catalog()
    flavor = catalog.flavors[0]
    assert (decide(catalog, flavor, [], NOW).own, decide(catalog, flavor, [], NOW).why) == (
        True,
        NamespaceReason.UNTRIED,
    )
    works = decide(catalog, flavor, [WORKS], NOW)
    assert (works.own, works.why, works.nodes) == (True, NamespaceReason.WORKS, ("node-1",))
    refused = decide(catalog, flavor, [WORKS, REFUSED], NOW)
    assert (refused.own, refused.why, refused.nodes) == (False, NamespaceReason.REFUSED, ("node-2",))
    assert (refused.details, refused.until) == ("no sandbox", REFUSED.noted_at + RETRY_AFTER)


def test_a_node_that_failed_is_tried_again_later() -> None:
    catalog = make.catalog()
    assert decide(catalog, catalog.flavors[0], [REFUSED], REFUSED.noted_at + RETRY_AFTER).own


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({}, True),
        ({"host_users": True}, True),
        ({"node_selector": {"disk": "fast"}}, False),
        ({"runtime_class": "gvisor"}, False),
    ],
)
def test_a_node_counts_for_all_flavors_whose_pods_may_go_there(other: dict[str, Any], counts: bool) -> None:
    small, large = make.flavor("small", pod=PodFields(**other)), make.flavor("large")
    assert decide(make.catalog(small, large), large, [REFUSED], NOW).own is not counts


def test_a_dropped_flavor_is_ignored() -> None:
    catalog = make.catalog()
    assert decide(catalog, catalog.flavors[0], [replace(REFUSED, flavor="gone")], NOW).own


# --- what pods show --------------------------------------------------------------------------------------------------


def own(phase: Phase = Phase.READY, **changes: Any) -> SlotStatus:
    return replace(make.status("s", phase), node="node-1", user_namespace=True, **changes)


def found_out(
    status: SlotStatus,
    *tried: NodeSupport,
    age: timedelta = timedelta(minutes=5),
    silences: Silences | None = None,
) -> list[NodeSupport]:
    slot = make.slot("s", SlotState.WARM, created_at=NOW - age)
    return list(new_observations({"s": status}, [slot], tried, NOW, catalog=make.catalog(), silences=silences or {}))


def test_a_running_pod_shows_that_its_node_supports_them() -> None:
    assert found_out(own()) == [NodeSupport("small", "node-1", True, "", NOW)]
    for other in (own(Phase.CREATING), own(Phase.DEAD), replace(own(), user_namespace=False), replace(own(), node="")):
        assert found_out(other) == []


def test_a_pod_without_a_sandbox_shows_that_its_node_does_not() -> None:
    status = own(Phase.DEAD, lacks_user_namespace=True, detail="no sandbox")
    assert found_out(status) == [NodeSupport("small", "node-1", False, "no sandbox", NOW)]
    assert found_out(status, WORKS) == [NodeSupport("small", "node-1", False, "no sandbox", NOW)]


def test_known_support_is_not_written_again() -> None:
    assert found_out(own(), WORKS) == []
    assert found_out(own(), replace(WORKS, noted_at=NOW - REFRESH_EVERY)) != []
    refused = NodeSupport("small", "node-1", False, "no sandbox", NOW)
    assert found_out(own(Phase.DEAD, lacks_user_namespace=True, detail="no sandbox"), refused) == []


def test_an_older_pod_does_not_override_a_later_one() -> None:
    refused = NodeSupport("small", "node-1", False, "no sandbox", NOW - timedelta(minutes=2))
    assert found_out(own(), refused, age=timedelta(minutes=5)) == []
    assert found_out(own(), refused, age=timedelta(minutes=1)) == [NodeSupport("small", "node-1", True, "", NOW)]


SILENT = own(Phase.DEAD, lacks_user_namespace=True, is_silent=True, detail="no sandbox")


def test_a_node_that_goes_down_does_not_turn_user_namespaces_off() -> None:
    """49 nodes support them. One of them dies after it has taken in a pod, and makes no sandbox for it."""
    tried = [replace(WORKS, node=f"node-{number}") for number in range(1, 50)]
    dead = without_user_namespace(read(pod(CREATING, NO_SANDBOX)).status, "no sandbox", is_silent=True)
    seen = found_out(dead, *tried, age=timedelta(), silences={("small", "node-1"): NOW})
    catalog = make.catalog()
    known = {(one.flavor, one.node): one for one in [*tried, *seen]}
    assert decide(catalog, catalog.flavors[0], known.values(), NOW).own


@pytest.mark.parametrize("node", ["node-1", "node-2"])
def test_a_node_that_stays_silent_does_not_support_them(node: str) -> None:
    """Also one that has supported them before: its runtime may have been changed."""
    silent = replace(SILENT, node=node)
    refused = [NodeSupport("small", node, False, "no sandbox", NOW)]
    first = {("small", node): NOW - NODE_DOWN_AFTER - timedelta(seconds=20)}
    assert found_out(silent, WORKS, age=timedelta(seconds=20), silences=first) == refused
    assert found_out(silent, WORKS, age=timedelta(seconds=21), silences=first) == [], "this pod is of the first minute"
    assert found_out(silent, age=timedelta(), silences={("small", node): NOW}) == refused, "no node is known to work"


def test_a_runtime_that_names_user_namespaces_is_believed_at_once() -> None:
    said = replace(SILENT, is_silent=False)
    assert found_out(said, WORKS) == [NodeSupport("small", "node-1", False, "no sandbox", NOW)]


def test_a_silent_node_of_another_placement_counts_at_once() -> None:
    apart = make.flavor("apart", pod=PodFields(node_selector={"disk": "fast"}))
    catalog = make.catalog(make.flavor(), apart)
    slot = make.slot("s", SlotState.WARM, created_at=NOW)
    slot = replace(slot, flavor="apart")
    seen = list(new_observations({"s": SILENT}, [slot], [WORKS], NOW, catalog=catalog, silences={}))
    assert [(one.flavor, one.works) for one in seen] == [("apart", False)]


def test_a_silence_begins_with_its_first_pod_and_ends_with_one_that_runs() -> None:
    slot = make.slot("s", SlotState.WARM, created_at=NOW)
    first = silent_since({"s": SILENT}, [slot], {}, NOW)
    assert first == {("small", "node-1"): NOW}
    later = NOW + timedelta(minutes=1)
    assert silent_since({"s": SILENT}, [slot], first, later) == first
    assert silent_since({"s": own()}, [slot], first, later) == first, "it ran before the node fell silent"
    assert silent_since({"s": own()}, [replace(slot, created_at=later)], first, later) == {}
    assert silent_since({}, [], first, NOW + RETRY_AFTER) == {}


@quick
@given(st.lists(st.sampled_from([own(), own(Phase.DEAD, lacks_user_namespace=True), own(Phase.CREATING)]), max_size=6))
def test_a_second_pass_records_nothing(statuses: list[SlotStatus]) -> None:
    slots = [make.slot(f"s{number}", SlotState.WARM) for number in range(len(statuses))]
    found = {slot.id: replace(status, id=slot.id) for slot, status in zip(slots, statuses, strict=True)}
    known: dict[tuple[str, str], NodeSupport] = {}
    rest: Any = {"catalog": make.catalog(), "silences": {}}
    for seen in new_observations(found, slots, [], NOW, **rest):
        known[seen.flavor, seen.node] = seen
    assert list(new_observations(found, slots, known.values(), NOW, **rest)) == []


# --- what a pod's status says ----------------------------------------------------------------------------------------

NO_SANDBOX = {"type": "PodReadyToStartContainers", "status": "False"}
CREATING = {"waiting": {"reason": "ContainerCreating"}}


def pod(state: dict[str, Any], *conditions: dict[str, Any], version: int = 1, **spec: Any) -> dict[str, Any]:
    """As the API server has it while the node says `FailedCreatePodSandBox: … remount-private …: permission denied`,
    which stands in an event only."""
    metadata = {"name": "freepool-s", "uid": "u", "resourceVersion": str(version), "labels": {SLOT_LABEL: "s"}}
    body = {"nodeName": "node-1", "hostUsers": False, "volumes": [{"name": "home", "emptyDir": {}}]} | spec
    status = {
        "phase": "Pending",
        "conditions": list(conditions),
        "containerStatuses": [{"name": CONTAINER, "restartCount": 0, "started": False, "state": state}],
    }
    return {"metadata": metadata, "spec": body, "status": status}


def read(found: dict[str, Any]) -> Any:
    made = read_pod(found)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("found", "lacks"),
    [
        (pod(CREATING, NO_SANDBOX), True),
        (pod(CREATING, NO_SANDBOX | {"status": "True"}), False),
        (pod(CREATING), False),  # no kubelet has said anything yet
        (pod(CREATING, NO_SANDBOX, hostUsers=True), False),
        (pod(CREATING, NO_SANDBOX, volumes=[{"name": "x", "persistentVolumeClaim": {"claimName": "x"}}]), False),
    ],
)
def test_a_missing_sandbox_is_detected(found: dict[str, Any], lacks: bool) -> None:
    assert read(found).lacks_sandbox is lacks
    assert read(found).status.phase is Phase.CREATING


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
        status = read(pod(waiting)).status
        assert (status.phase, status.reason, status.lacks_user_namespace) == (Phase.DEAD, EndReason.LOST, True)
        assert message in status.detail
        assert not read(pod(waiting, hostUsers=True)).status.lacks_user_namespace


def test_a_container_that_fails_for_another_reason_is_not_the_nodes_failure() -> None:
    waiting = {"waiting": {"reason": "RunContainerError", "message": 'exec: "jupyter": executable file not found'}}
    status = read(pod(waiting)).status
    assert (status.reason, status.lacks_user_namespace) == (EndReason.START_FAILED, False)


@pytest.mark.parametrize("name", ["start-userns.sh", "/opt/idmap/run", "remount-private"])
def test_the_name_of_a_command_says_nothing_about_its_node(name: str) -> None:
    message = f'runc create failed: exec: "{name}": executable file not found in $PATH: unknown'
    status = read(pod({"waiting": {"reason": "RunContainerError", "message": message}})).status
    assert (status.reason, status.lacks_user_namespace) == (EndReason.START_FAILED, False)


def test_a_programs_own_message_says_nothing_about_its_node() -> None:
    def ended(reason: str, code: int, message: str) -> SlotStatus:
        terminated = pod({"terminated": {"exitCode": code, "reason": reason, "message": message}})
        terminated["status"]["phase"] = "Failed"
        return read(terminated).status

    for message in ("bwrap: No permissions to create a new user namespace", "ImportError: no module named gridmap"):
        status = ended("Error", 1, message)
        assert (status.reason, status.lacks_user_namespace) == (EndReason.START_FAILED, False)
    status = ended("StartError", 128, "write uid_map: operation not permitted")
    assert (status.reason, status.lacks_user_namespace) == (EndReason.LOST, True)


async def test_time_without_a_watch_does_not_count_against_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    store = KubernetesBackend(POOL)._store
    lacking = read(pod(CREATING, NO_SANDBOX))
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
    """After the thaw a line about another pod is read first, and then the one that says that the sandbox was made."""
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
        """A watch in which nothing follows after the first list."""
        yield None
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "follow", silence)
    wakes = 0
    async with asyncio.timeout(10), aclosing(backend.watch()) as woken:
        async for _ in woken:
            wakes += 1
            if wakes == 1:
                assert store.patience() is None
                await store.note(read(pod(CREATING, NO_SANDBOX)))
                assert store.slots()["s"].phase is Phase.CREATING
            status = store.slots()["s"]
            if status.phase is Phase.DEAD:
                break
    assert (status.reason, status.lacks_user_namespace, status.node) == (EndReason.LOST, True, "node-1")
    assert status.is_silent
    assert "node-1 made no sandbox with a user namespace" in status.detail
    assert store.patience() is None, "it wakes the watch once"


async def test_the_watch_wakes_when_a_pod_begins_to_wait_for_its_sandbox() -> None:
    """Its slot's status is the same as before, but from now on the time counts."""
    store = KubernetesBackend(POOL)._store
    events = [pod(CREATING, version=1), pod(CREATING, NO_SANDBOX, version=2), pod(CREATING, NO_SANDBOX, version=3)]
    wakes_watchers = [store._take({"type": "MODIFIED", "object": found}) for found in events]
    assert wakes_watchers == [True, True, False]
    assert store.patience() is not None


async def test_a_sandbox_that_comes_in_time_is_not_waited_for_any_more() -> None:
    store = KubernetesBackend(POOL)._store
    await store.note(read(pod(CREATING, NO_SANDBOX)))
    assert store.patience() is not None
    await store.note(read(pod(CREATING, NO_SANDBOX | {"status": "True"}, version=2)))
    assert store.patience() is None
    assert store.slots()["s"].phase is Phase.CREATING


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_the_last_observation_of_a_node_is_kept_and_pruned(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    try:
        later = replace(WORKS, works=False, detail="no sandbox", noted_at=NOW)
        for tried in (WORKS, REFUSED, later):
            ledger.write(user_namespaces.note, tried)
        assert ledger.read(user_namespaces.all_of) == [later, REFUSED]
        assert ledger.write(user_namespaces.prune, before=NOW) == 1
        assert ledger.read(user_namespaces.all_of) == [later]
    finally:
        ledger.close()


# --- the administrator's page ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "on", "off"),
    [
        (
            "en",
            "User namespaces are on. Nodes that support them: node-1.",
            "User namespaces are off, because a node does not support them: node-2.",
        ),
        ("zh-CN", "用户命名空间已启用。支持的节点：node-1。", "用户命名空间已关闭，因为有节点不支持：node-2。"),
    ],
)
def test_the_administrators_page_shows_the_decision_and_its_reason(
    tmp_path: Any, language: str, on: str, off: str
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    gpu = make.flavor("gpu", accelerator=Accelerator(name="A10", memory=GIB))
    catalog = make.catalog(make.flavor(), gpu)

    def users(backend: Any) -> list[UserNamespacesView | None]:
        moment = ledger.read(read_admin, limits=catalog.limits, now=NOW)
        board = AdminStateBuilder(moment, catalog, backend, load_translations()[language], NOW)
        return [flavor.user_namespaces for flavor in board.state(UserView(name="ann", admin=True)).flavors]

    try:
        ledger.write(user_namespaces.note, WORKS)
        small, with_devices = users(KubernetesBackend(POOL))
        assert small == UserNamespacesView(enabled=True, text=on, details="", until=None)
        assert with_devices is not None
        assert not with_devices.own
        ledger.write(user_namespaces.note, REFUSED)
        small, _ = users(KubernetesBackend(POOL))
        assert small == UserNamespacesView(
            enabled=False, text=off, details="no sandbox", until=REFUSED.noted_at + RETRY_AFTER
        )
        assert users(make.PaperBackend()) == [None, None], "one machine has no nodes"
    finally:
        ledger.close()
