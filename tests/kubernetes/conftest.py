"""A real cluster, a pool's namespace on it, and an account that may do what the chart allows and no more."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spawner import __version__
from spawner.pool.backends.kubernetes import KubernetesBackend
from spawner.settings import KubernetesPool
from tests.backends.conformance import destroy
from tests.kubernetes.admin import Admin, NoCluster, script
from tests.stack import PROJECT

ACCOUNT = "freepool"
TAG = os.environ.get("TAG", __version__)
LIGHT = f"freepool/light:{TAG}"


def build(*names: str) -> None:
    """Build images from this checkout and hand them to the cluster, unless FREEPOOL_TEST_IMAGES=built says they are."""
    if os.environ.get("FREEPOOL_TEST_IMAGES") == "built":
        return
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run([str(PROJECT / "images" / "build"), *names], check=True, cwd=PROJECT, env={**os.environ, "PATH": path})
    script("load", *(f"freepool/{name}:{TAG}" for name in names))


@dataclass(frozen=True)
class PoolNamespace:
    """A namespace that is one pool, and the settings with which it is reached."""

    admin: Admin
    name: str
    settings: KubernetesPool


@pytest.fixture(scope="session")
def admin() -> Admin:
    """The cluster, brought up where that is needed; instances' light image is in it."""
    try:
        kubeconfig = Path(script("ensure").strip().splitlines()[-1])
    except NoCluster as error:
        pytest.skip(str(error))
    return Admin(kubeconfig)


@pytest.fixture(scope="session")
def light(admin: Admin) -> str:
    """The light image, built from this checkout and handed to the cluster."""
    build("light")
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
