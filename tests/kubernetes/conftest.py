"""A real cluster, a pool's namespace on it, and an account that may do what the chart allows and no more."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from spawner import __version__
from spawner.pool.backends.kubernetes import KubernetesBackend
from spawner.settings import KubernetesPool
from tests.backends.conformance import destroy
from tests.cluster.network import SCRIPTS
from tests.kubernetes.admin import Admin, NoCluster, script
from tests.stack import PROJECT, Stack, eventually, running_stack, write_catalog

Change = Callable[[dict[str, Any]], None]

ACCOUNT = "freepool"
TAG = os.environ.get("TAG", __version__)
LIGHT = f"freepool/light:{TAG}"


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

    def wait_empty(self) -> None:
        """Wait until the pods of earlier tests have ended: until then they hold what the node has."""
        eventually(lambda: not self.admin.pods(self.name), seconds=180, what="an empty namespace")


@pytest.fixture(scope="session")
def admin() -> Admin:
    """The cluster, brought up where that is needed; instances' light image is in it."""
    try:
        kubeconfig = Path(script("ensure", "--built").strip().splitlines()[-1])
    except NoCluster as error:
        pytest.skip(str(error))
    return Admin(kubeconfig)


@pytest.fixture(scope="session")
def light(admin: Admin) -> str:
    """The light image of this checkout, which `make cluster` has handed to the cluster."""
    require_images()
    return LIGHT


@pytest.fixture(scope="session")
def pool_namespace(admin: Admin, light: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PoolNamespace]:
    """An empty pool, made as the chart makes it."""
    name = f"freepool-test-{secrets.token_hex(3)}"
    admin.apply(*rights(name))
    kubeconfig = admin.account(name, ACCOUNT, tmp_path_factory.mktemp("kube") / "kubeconfig")
    try:
        yield PoolNamespace(admin, name, KubernetesPool(namespace=name, kubeconfig=kubeconfig, pull_policy="Never"))
    finally:
        admin.kubectl("delete", "namespace", name, "--wait=false")


def rights(namespace: str) -> list[dict[str, Any]]:
    """The namespace, and an account with the Role that the chart gives."""
    here = {"namespace": namespace, "name": ACCOUNT}
    rbac = {"apiGroup": "rbac.authorization.k8s.io"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
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


@pytest_asyncio.fixture
async def kube(pool_namespace: PoolNamespace) -> AsyncIterator[KubernetesBackend]:
    """An empty pool; what a test leaves is destroyed."""
    backend = KubernetesBackend(pool_namespace.settings)
    yield backend
    for slot_id in await backend.list():
        await destroy(backend, slot_id)
    await backend.close()


@pytest.fixture(scope="session")
def host_address() -> str:
    """This machine's address as pods reach it: our own cluster's bridge, unless FREEPOOL_TEST_HOST names another."""
    return os.environ.get("FREEPOOL_TEST_HOST", "10.244.0.1")


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


@pytest.fixture(scope="module")
def kube_stack(pool_namespace: PoolNamespace, host_address: str) -> Iterator[Stack]:
    """Hub, proxy, desk and steward on this machine, instances as pods, for the tests of one module."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    try:
        settings = write_settings(folder, pool_namespace.settings, host_address)
        with running_stack(folder / "state", settings=settings) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)
