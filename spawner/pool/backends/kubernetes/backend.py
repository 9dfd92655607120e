"""The Kubernetes pool: one pod per slot in one namespace.

The API server holds the state. A process that watches keeps a copy, and uses it while the watch is fresh. A process
without a watch lists the pods each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import replace

from spawner.catalog import Flavor, Image
from spawner.errors import BackendUnavailable
from spawner.pool.backends.base import (
    Slots,
    SlotSpec,
    SlotStatus,
    SlotUse,
    Unavailable,
    Usage,
    Weakness,
    fingerprint,
)
from spawner.pool.backends.kubernetes.client import Cluster
from spawner.pool.backends.kubernetes.gpu_metrics import GpuMetrics
from spawner.pool.backends.kubernetes.manifest import (
    ASSIGNED,
    EVICTABLE,
    SLOT_LABEL,
    assigned_labels,
    make_manifest,
    models_volume,
    pod_name,
)
from spawner.pool.backends.kubernetes.metrics import read_usage
from spawner.pool.backends.kubernetes.pods import Pod, read_pod
from spawner.pool.backends.kubernetes.watch import PodStore, list_pods
from spawner.settings import KubernetesPool

DESTROY_SECONDS = 30.0
"""A node ends a pod in 1 to 3 s. A longer end is not waited for; the caller tries again."""
ASK_SECONDS = 0.5
"""Between reads of a pod that is being deleted, without a watch."""
TRUST_SECONDS = 5.0
"""How long to wait for the watch before the pod is read."""

NOT_OF_THE_POD = {"title", "summary", "session_minutes", "limit", "warm", "allowance", "idle", "processes"}
"""Fields of a flavor that may change while its warm pods stay."""
OF_EACH_POD = {"pull_policy", "pull_secrets", "priority_class", "warm_priority_class"}
"""Settings of the pool that are part of each pod."""


class KubernetesBackend:
    """Slots as pods of the pool's namespace."""

    def __init__(self, pool: KubernetesPool) -> None:
        self._pool = pool
        self._cluster = Cluster(pool)
        self._store = PodStore(self._cluster)
        self._gpus = GpuMetrics(pool.gpu_metrics_url, pool.namespace) if pool.gpu_metrics_url else None

    @property
    def isolated(self) -> bool:
        """Always True."""
        return True

    @property
    def weakness(self) -> Weakness | None:
        """None: the chart's policies say what pods reach."""
        return None

    @property
    def supports_user_namespaces(self) -> bool:
        """True, but not on every node."""
        return True

    def memory(self) -> int | None:
        """None: only the scheduler knows."""
        return None

    def why_not(self, flavor: Flavor, image: Image | None = None) -> Unavailable | None:  # noqa: ARG002
        """An image without a reference. Any flavor may be served: a node for it can be added at any time."""
        if image is not None and image.reference is None:
            return Unavailable.NOT_ON_KUBERNETES
        return None

    def version(self, template: SlotSpec) -> str:
        """The fingerprint of what a pod is made from, not of the pod: another chart's hub may have another version of
        KubeSpawner, which makes the same pod in other words."""
        return fingerprint(
            [
                template.flavor.model_dump(mode="json", exclude=NOT_OF_THE_POD),
                template.image.model_dump(mode="json", include={"reference", "agent", "command"}),
                template.examples,
                self._pool.model_dump(mode="json", include=OF_EACH_POD),
                # Only where there is one: without, pods of the release before stay current.
                *([models] if (models := models_volume(self._pool)) else []),
            ]
        )

    async def create(self, spec: SlotSpec) -> None:
        """Create the slot's pod."""
        created = await self._cluster.create(make_manifest(spec, self._pool))
        if created is not None:
            await self._note(created)

    async def _note(self, answer: dict[str, object]) -> Pod | None:
        pod = read_pod(answer)
        if pod is not None:
            await self._store.note(pod)
        return pod

    async def assign(self, slot_id: str, *, seconds: float) -> None:
        """Label the pod, keep autoscalers from evicting it, and set its `activeDeadlineSeconds`."""
        changes = {
            "metadata": {"labels": assigned_labels(ASSIGNED), "annotations": {EVICTABLE: "false"}},
            "spec": {"activeDeadlineSeconds": max(1, round(seconds))},
        }
        changed = await self._cluster.patch(pod_name(slot_id), changes)
        if changed is not None:
            await self._note(changed)

    async def destroy(self, slot_id: str) -> None:
        """Delete the pod, and wait until its node has ended it and deleted its volumes."""
        name = pod_name(slot_id)
        answer = await self._cluster.delete(name)
        pod = None if answer is None else await self._note(answer)
        if pod is None:
            return
        try:
            async with asyncio.timeout(DESTROY_SECONDS):
                await self._wait_gone(name, pod)
        except TimeoutError:
            raise BackendUnavailable(
                "The pod {name} does not terminate.",
                next_step="Check its node. The deletion is retried automatically.",
                name=name,
            ) from None

    async def _wait_gone(self, name: str, pod: Pod) -> None:
        while True:
            if self._store.is_fresh and await self._store.wait_gone(pod.uid, seconds=TRUST_SECONDS):
                return
            answer = await self._cluster.read(name)
            if answer is None or answer["metadata"]["uid"] != pod.uid:
                return
            if not self._store.is_fresh:
                await asyncio.sleep(ASK_SECONDS)  # no watch, so poll

    async def list(self) -> Slots:
        """From the watch while it is fresh, else from a list request."""
        if self._store.is_fresh:
            return self._store.slots()
        pods, _ = await list_pods(self._cluster)
        return {pod.status.id: pod.status for pod in pods.values()}

    async def find(self, slot_id: str) -> SlotStatus | None:
        """Read the pod."""
        answer = await self._cluster.read(pod_name(slot_id))
        pod = None if answer is None else await self._note(answer)
        return None if pod is None else pod.status

    async def watch(self) -> AsyncGenerator[None, None]:
        """Watch the pods. Raises `BackendUnavailable` where the watch breaks; then call it again.

        Also yields when a pod's sandbox is overdue, for which there is no event.
        """
        async with aclosing(self._store.follow()) as changes:
            upcoming = asyncio.ensure_future(anext(changes))
            try:
                while True:
                    await asyncio.wait([upcoming], timeout=self._store.patience())
                    if upcoming.done():
                        upcoming.result()
                        upcoming = asyncio.ensure_future(anext(changes))
                    yield None
            finally:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)

    async def usage(self, slot_ids: Collection[str], *, ports: frozenset[int] | None) -> Usage:  # noqa: ARG002
        """One read of the metrics API, where there is one that may be read, and one of the GPUs' metrics, likewise."""
        usage = read_usage(*await self._cluster.metrics(SLOT_LABEL), set(slot_ids))
        if self._gpus is None:
            return usage
        shares = await self._gpus.read(slot_ids)
        slots = {one: replace(usage.slots.get(one, SlotUse()), gpu=share) for one, share in shares.items()}
        return replace(usage, slots={**usage.slots, **slots})

    async def slow(self, slot_id: str, share: float) -> bool:  # noqa: ARG002
        """No: a pod's limits are fixed without rights that Freepool does not ask for."""
        return False

    async def close(self) -> None:
        """Close the connections."""
        await self._cluster.close()
