"""A real cluster, a pool's namespace on it, and an account with exactly the chart's rights.

All tests of this folder that need a Freepool share one (`platform`), whose catalog has a flavor for each purpose. What
is made for them lives as long as the folder's tests run: they run inside the cluster's network, and so does its end.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from kubernetes_asyncio.config import kube_config

from spawner import __version__
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.settings import KubernetesPool
from tests.backends.conformance import destroy
from tests.cluster.network import SCRIPTS
from tests.kubernetes.admin import Admin, admin_of_cluster
from tests.kubernetes.gate import Gate, gate_to
from tests.kubernetes.node import Node, kernel_log
from tests.kubernetes.records import PodRecords, recorded
from tests.session.schedule import move_to_end
from tests.stack import PROJECT, Stack, eventually, running_stack, write_catalog

Change = Callable[[dict[str, Any]], None]

ACCOUNT = "freepool"
POD_GATEWAY = "10.244.0.1"
"""The node's end of the pods' bridge, on our own cluster."""
TAG = os.environ.get("TAG", __version__)
LIGHT = f"freepool/light:{TAG}"
TEXT = {"en": "a text", "zh": "文字"}
GPUS = 3
"""How many the node offers where `gpus` are asked for. The catalog promises one more."""
LAST = ("test_watch.py", "test_rights.py", "test_pod_security.py", "test_without_a_trace.py")
"""A node clears the logs of its pods away once a minute, for which the last file waits: the tests before it need almost
no pod on the node. Those after `test_watch.py` give the thousands of pods that it has made the time to go."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pytest's hook."""
    move_to_end(items, Path(__file__).parent, LAST)


@pytest.fixture(scope="package", autouse=True)
def no_file_is_left() -> Iterator[None]:
    """kubernetes_asyncio keeps certificates of kubeconfigs in files until the process ends."""
    yield
    kube_config._cleanup_temp_files()


def require_images() -> None:
    """Fail where the cluster's images are not of this checkout: `make cluster` builds them and hands them over."""
    if os.environ.get("FREEPOOL_TEST_IMAGES") == "given":
        return
    done = subprocess.run([SCRIPTS / "loaded"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr.strip()}. Run `make cluster`, then the test again."


@dataclass(frozen=True)
class PoolNamespace:
    """A namespace that is one pool, and the settings with which it is reached."""

    admin: Admin
    name: str
    settings: KubernetesPool


@pytest.fixture(scope="session")
def admin() -> Iterator[Admin]:
    """The cluster with an administrator's rights."""
    with admin_of_cluster() as found:
        yield found


@pytest.fixture(scope="session")
def light(admin: Admin) -> str:
    """The light image of this checkout, which `make cluster` has handed to the cluster."""
    require_images()
    return LIGHT


@contextmanager
def new_pool(admin: Admin, folder: Path) -> Iterator[PoolNamespace]:
    """A namespace that is one pool, with its account's kubeconfig in `folder`; deleted at the end."""
    name = f"freepool-test-{secrets.token_hex(3)}"
    admin.apply(*rights(name))
    kubeconfig = admin.account(name, ACCOUNT, folder / "kubeconfig")
    try:
        yield PoolNamespace(admin, name, KubernetesPool(namespace=name, kubeconfig=kubeconfig, pull_policy="Never"))
    finally:
        admin.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="package")
def without_firewall(admin: Admin) -> Iterator[None]:
    """No test of this folder has a NetworkPolicy, and without one what enforces them is only work for the node."""
    node = Node.of(admin)
    with node.without_firewall() if node else nullcontext():
        yield


@pytest.fixture(scope="package")
def pool_namespace(
    admin: Admin, light: str, without_firewall: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PoolNamespace]:
    """An empty pool, made as the chart makes it."""
    with new_pool(admin, tmp_path_factory.mktemp("kube")) as pool:
        yield pool


def namespace_object(name: str) -> dict[str, Any]:
    """A pool's namespace with the labels that the chart gives it: Pod Security "restricted" holds in it."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def rights(namespace: str) -> list[dict[str, Any]]:
    """The namespace, and an account with the Role that the chart gives."""
    here = {"namespace": namespace, "name": ACCOUNT}
    rbac = {"apiGroup": "rbac.authorization.k8s.io"}
    return [
        namespace_object(namespace),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": here,
            "rules": [
                {"apiGroups": [""], "resources": ["pods"],
                 "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": here,
            "roleRef": {**rbac, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", **here}],
        },
    ]  # fmt: skip


@pytest.fixture(scope="package")
def backend_namespace(
    admin: Admin, light: str, without_firewall: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PoolNamespace]:
    """A second pool, in which no Freepool runs."""
    with new_pool(admin, tmp_path_factory.mktemp("kube")) as pool:
        yield pool


@pytest_asyncio.fixture
async def kube(backend_namespace: PoolNamespace) -> AsyncIterator[KubernetesBackend]:
    """An empty pool; what a test leaves is destroyed."""
    backend = KubernetesBackend(backend_namespace.settings)
    yield backend
    for slot_id in await backend.list():
        await destroy(backend, slot_id)
    await backend.close()


@pytest.fixture(scope="session")
def host_address() -> str:
    """The platform's address as pods reach it: our own cluster's bridge, unless FREEPOOL_TEST_HOST names another."""
    return os.environ.get("FREEPOOL_TEST_HOST", POD_GATEWAY)


def write_settings(folder: Path, pool: KubernetesPool, address: str, change: Change | None = None) -> Path:
    """Settings for the platform on this machine with a pool on the cluster. `change` changes the catalog."""

    def for_cluster(data: dict[str, Any]) -> None:
        data["images"][0]["reference"] = LIGHT
        if change:
            change(data)

    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "catalog": str(write_catalog(folder / "catalog.yaml", for_cluster)),
        "hub_config": str(PROJECT / "hub_config" / "jupyterhub_config.py"),
        "examples": str(PROJECT / "images" / "examples"),
        "address": address,
        "kubernetes": pool.model_dump(mode="json", exclude_none=True),
    }
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def catalog_of_all(data: dict[str, Any]) -> None:
    """Small flavors: one kept warm, one made when asked for, one that no machine has room for, one with a GPU; and
    images that cannot be had. Memory and disk are used up in no time."""
    small = {"title": TEXT, "summary": TEXT, "cpu": 1, "memory": "512MiB", "disk": "64MiB", "reserve": "256MiB"}
    gpu = {"name": "NVIDIA A10", "count": 1, "memory": "24GiB"}
    data["flavors"] = [
        {**small, "id": "waits", "warm": 1, "limit": 8},
        {**small, "id": "made", "limit": 6},
        {**small, "id": "huge", "cpu": 200, "memory": "4096GiB", "reserve": "4096GiB", "limit": 2},
        # Small, so that a small node runs out of GPUs first.
        {"title": TEXT, "summary": TEXT, "id": "gpu", "cpu": 0.1, "memory": "384MiB", "disk": "64MiB",
         "accelerator": gpu, "limit": GPUS + 1},
    ]  # fmt: skip
    light = data["images"][0]
    data["images"] = [
        light,
        {**light, "id": "missing", "reference": "freepool/no-such-image:0"},
        {**light, "id": "misspelt", "reference": "Freepool/No Such Image"},
    ]
    data["examples"] = [example for example in data["examples"] if example["image"] == light["id"]]
    data["defaults"] = {"flavor": "waits", "image": light["id"]}
    data["limits"] |= {"schedule_seconds": 2, "start_seconds": 120, "no_room_seconds": 5}


@dataclass(frozen=True)
class Cluster:
    """Shared by all tests with a Freepool: the stack, its namespace, the gate before the API server, the recorded
    events of the namespace's pods, and the kernel's refusals."""

    stack: Stack
    pool: PoolNamespace
    gate: Gate
    records: PodRecords
    refusals: Callable[[], list[str]]

    @cached_property
    def node(self) -> Node | None:
        """The node, where it is ours; None for a cluster that was given."""
        return Node.of(self.pool.admin)


@pytest.fixture(scope="package")
def shared(pool_namespace: PoolNamespace, host_address: str) -> Iterator[Cluster]:
    """Hub, proxy, desk and steward on this machine, instances as pods, and a gate before the API server."""
    assert pool_namespace.settings.kubeconfig
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    copy = folder / "kubeconfig"
    pool = pool_namespace.settings.model_copy(update={"kubeconfig": copy})
    try:
        with (
            gate_to(pool_namespace.settings.kubeconfig, copy) as gate,
            recorded(pool_namespace.admin, pool_namespace.name, folder / "records") as records,
            kernel_log() if Node.of(pool_namespace.admin) else nullcontext(list) as refusals,
            running_stack(
                folder / "state", settings=write_settings(folder, pool, host_address, catalog_of_all)
            ) as stack,
        ):
            yield Cluster(stack, pool_namespace, gate, records, refusals)
            gate.open()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kube_stack(shared: Cluster) -> Stack:
    """The shared Freepool."""
    return shared.stack


@pytest.fixture
def node(shared: Cluster) -> Node:
    """The node. Skips where the cluster is not our own."""
    if shared.node is None:
        pytest.skip("the cluster's node is not this machine")
    return shared.node


def wait_warm(stack: Stack, flavor: str = "waits") -> str:
    """Wait for a warm slot of this flavor; returns its id."""
    return eventually(
        lambda: next((slot.id for slot in stack.slots() if slot.state == "warm" and slot.flavor == flavor), ""),
        seconds=60,
        what=f"a warm slot of {flavor}",
    )


def wait_usable(stack: Stack, user: str) -> None:
    """Wait until the hub reports a user's server as ready, which is shortly after the ledger has it running."""

    def is_ready() -> bool:
        return bool(stack.api("GET", f"/users/{user}").json()["servers"].get("", {}).get("ready"))

    eventually(is_ready, seconds=60, what=f"{user}'s notebook")
