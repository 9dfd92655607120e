"""Pods with a real manifest that no scheduler handles, so that thousands of them cost little."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration

from spawner.catalog import Image
from spawner.pool.backends.kubernetes.manifest import make_manifest, pod_name
from spawner.settings import KubernetesPool
from tests.backends.conformance import SMALL, TEXT, spec

NOBODY = "nobody"
"""The name of a scheduler that does not exist."""
AT_ONCE = 16
PAPER = Image(id="light", title=TEXT, summary=TEXT, reference="freepool/paper:0")


def paper_manifest(pool: KubernetesPool) -> tuple[str, dict[str, Any]]:
    """The id of a new slot, and the manifest of a pod for it that is never scheduled."""
    wanted = spec()
    manifest = make_manifest(type(wanted)(wanted.id, SMALL, PAPER, secrets.token_bytes(32)), pool)
    manifest["spec"]["schedulerName"] = NOBODY
    return wanted.id, manifest


class Paper:
    """Creates and changes pods with an administrator's rights, without parsing the answers into models."""

    def __init__(self, client: ApiClient, pool: KubernetesPool) -> None:
        self._client = client
        self._pool = pool
        self._url = f"{client.configuration.host}/api/v1/namespaces/{pool.namespace}/pods"

    async def _ask(self, method: str, path: str = "", body: Any = None, *, kind: str = "json") -> dict[str, Any]:
        session: aiohttp.ClientSession = self._client.rest_client.pool_manager
        token = await self._client.configuration.get_api_key_with_prefix("BearerToken")
        headers = {"Content-Type": f"application/{kind}"} | ({"Authorization": token} if token else {})
        data = None if body is None else json.dumps(body)
        async with session.request(method, self._url + path, data=data, headers=headers) as answer:
            text = await answer.text()
            assert answer.status < 300, text
            return json.loads(text)  # type: ignore[no-any-return]

    async def make(self, count: int = 1) -> list[str]:
        """Create this many pods, a few at a time; returns their slots' ids."""
        made = [paper_manifest(self._pool) for _ in range(count)]
        await _some_at_a_time(self._ask("POST", body=manifest) for _, manifest in made)
        return [slot_id for slot_id, _ in made]

    async def mark(self, slot_ids: Iterable[str], **labels: str) -> None:
        """Change labels."""
        body = {"metadata": {"labels": labels}}
        await _some_at_a_time(
            self._ask("PATCH", f"/{pod_name(slot_id)}", body, kind="merge-patch+json") for slot_id in slot_ids
        )

    async def remove(self, *slot_ids: str) -> None:
        """Delete."""
        await _some_at_a_time(
            self._ask("DELETE", f"/{pod_name(slot_id)}", {"gracePeriodSeconds": 0}) for slot_id in slot_ids
        )

    async def clear(self) -> None:
        """Delete all."""
        await self._ask("DELETE", "?gracePeriodSeconds=0&labelSelector=freepool/slot")


async def _some_at_a_time(asks: Iterable[Any]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(ask: Any) -> None:
        async with gate:
            await ask

    await asyncio.gather(*(one(ask) for ask in asks))


@asynccontextmanager
async def paper_in(kubeconfig: Path, pool: KubernetesPool) -> AsyncIterator[Paper]:
    """A `Paper` with an administrator's rights in the pool's namespace."""
    configuration = Configuration()
    await config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    async with ApiClient(configuration) as client:
        yield Paper(client, pool)
