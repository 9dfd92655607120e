"""The guard's question to a cluster: one read of the metrics API, which may be missing or closed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from spawner.errors import BackendUnavailable
from spawner.pool.backends.base import Unseen
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.settings import KubernetesPool

ITEM = {
    "metadata": {"name": "freepool-s1", "labels": {"freepool/slot": "s1"}},
    "containers": [{"name": "notebook", "usage": {"cpu": "1500m", "memory": "1Ki"}}],
}


@asynccontextmanager
async def cluster(folder: Path, status: int, body: object) -> AsyncIterator[tuple[KubernetesBackend, list[str]]]:
    """A backend on an API server that gives one answer, and what it was asked."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}?{request.query_string}")
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]
    here = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(here))
    backend = KubernetesBackend(KubernetesPool(namespace="pool", kubeconfig=folder / "kubeconfig"))
    try:
        yield backend, asked
    finally:
        await backend.close()
        await runner.cleanup()


async def test_all_pods_are_read_at_once(tmp_path: Path) -> None:
    async with cluster(tmp_path, 200, {"items": [ITEM]}) as (backend, asked):
        usage = await backend.usage(["s1", "s2"], ports=frozenset())
        assert {slot: use.processors for slot, use in usage.slots.items()} == {"s1": 1.5}
        assert not await backend.slow("s1", 0.5)
    (question,) = asked
    assert question.startswith("GET /apis/metrics.k8s.io/v1beta1/namespaces/pool/pods?")
    assert "labelSelector=freepool" in question


@pytest.mark.parametrize(
    ("status", "why"), [(403, Unseen.MAY_NOT_READ_METRICS), (404, Unseen.NO_METRICS), (503, Unseen.NO_METRICS)]
)
async def test_why_nothing_is_seen_is_told(tmp_path: Path, status: int, why: Unseen) -> None:
    async with cluster(tmp_path, status, {"message": "no"}) as (backend, _):
        usage = await backend.usage(["s1"], ports=frozenset())
    assert (usage.unseen, dict(usage.slots)) == (why, {})


async def test_a_cluster_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    async with cluster(tmp_path, 200, {}) as (backend, _):
        pass
    with pytest.raises(BackendUnavailable):
        await backend.usage(["s1"], ports=frozenset())
    await backend.close()
