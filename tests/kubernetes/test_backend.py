"""The Kubernetes backend passes the conformance suite on a real cluster with the chart's rights."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from spawner.catalog import Flavor, Image
from spawner.pool.backends.base import Backend
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from tests.backends.conformance import SMALL, TEXT, BackendConformance
from tests.kubernetes.conftest import LIGHT, PoolNamespace


class TestKubernetesBackend(BackendConformance):
    """The contract."""

    shows_assignment = True

    @pytest.fixture
    def backend(self, kube: KubernetesBackend) -> KubernetesBackend:  # type: ignore[override]
        """An empty namespace."""
        return kube

    @pytest_asyncio.fixture
    async def other(self, backend_namespace: PoolNamespace) -> AsyncIterator[KubernetesBackend]:  # type: ignore[override]
        """A second object on the same namespace."""
        made = KubernetesBackend(backend_namespace.settings)
        yield made
        await made.close()

    def broken(self) -> Image:
        """The light image with a command that exits at once."""
        command = ("sh", "-c", "echo these are my last words >&2; exit 7")
        return Image(id="broken", title=TEXT, summary=TEXT, reference=LIGHT, agent=False, command=command)

    def impossible(self) -> tuple[Flavor, Image]:
        """A flavor and an image that is no container image."""
        return SMALL, Image(id="local", title=TEXT, summary=TEXT, environment="local")

    async def gone(self, backend: Backend, slot_id: str, url: str | None) -> None:
        """The pod is gone, as the administrator sees it."""
        await super().gone(backend, slot_id, url)
        assert await backend.find(slot_id) is None
