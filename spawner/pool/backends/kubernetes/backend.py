"""A Kubernetes namespace as a pool: one pod per slot.

The truth about what exists is the API server's. A process that watches keeps a copy of it, and uses it for as long as
the watch is known to be alive; one that does not watch asks each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from spawner.catalog import Flavor, Image
from spawner.compat import timeout
from spawner.errors import BackendUnavailable
from spawner.pool.backends.base import Slots, SlotSpec, SlotStatus, Unavailable
from spawner.pool.backends.kubernetes.client import Cluster
from spawner.pool.backends.kubernetes.manifest import ASSIGNED, ASSIGNED_LABEL, EVICTABLE, make_manifest, pod_name
from spawner.pool.backends.kubernetes.pods import Pod, read_pod
from spawner.pool.backends.kubernetes.watch import PodStore, list_pods
from spawner.settings import KubernetesPool

DESTROY_SECONDS = 30.0
"""A node ends a pod in 1 to 3 s; one that takes longer than this is not waited for here, but tried again."""
ASK_SECONDS = 0.5
"""Between questions whether a pod is gone, where no watch tells."""
TRUST_SECONDS = 5.0
"""How long a watch is waited for before it is asked after."""


class KubernetesBackend:
    """Slots as pods of one namespace, which is the pool's own."""

    def __init__(self, pool: KubernetesPool) -> None:
        self._pool = pool
        self._cluster = Cluster(pool)
        self._store = PodStore(self._cluster)

    @property
    def isolated(self) -> bool:
        """Always: a pod is a sandbox."""
        return True

    @property
    def supports_user_namespaces(self) -> bool:
        """Nodes differ in it."""
        return True

    def memory(self) -> int | None:
        """Only the scheduler knows."""
        return None

    def why_not(self, flavor: Flavor, image: Image | None = None) -> Unavailable | None:  # noqa: ARG002
        """An image without a reference. Any flavor may be served: a node for it can be added at any time."""
        if image is not None and image.reference is None:
            return Unavailable.NOT_ON_KUBERNETES
        return None

    def version(self, image: Image) -> str:
        """Its reference."""
        return image.reference or ""

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
        """Mark the pod as somebody's: no autoscaler moves it, and the node ends it at the latest then."""
        changes = {
            "metadata": {"labels": {ASSIGNED_LABEL: ASSIGNED}, "annotations": {EVICTABLE: "false"}},
            "spec": {"activeDeadlineSeconds": max(1, round(seconds))},
        }
        changed = await self._cluster.patch(pod_name(slot_id), changes)
        if changed is not None:
            await self._note(changed)

    async def destroy(self, slot_id: str) -> None:
        """Delete the pod, and wait until its node has ended it and cleared its volumes away."""
        name = pod_name(slot_id)
        answer = await self._cluster.delete(name)
        pod = None if answer is None else await self._note(answer)
        if pod is None:
            return
        try:
            async with timeout(DESTROY_SECONDS):
                await self._wait_gone(name, pod)
        except asyncio.TimeoutError:
            raise BackendUnavailable(
                "The pod {name} does not end.", next_step="Look at its node; it is tried again.", name=name
            ) from None

    async def _wait_gone(self, name: str, pod: Pod) -> None:
        while True:
            if self._store.is_fresh and await self._store.wait_gone(pod.uid, seconds=TRUST_SECONDS):
                return
            answer = await self._cluster.read(name)
            if answer is None or answer["metadata"]["uid"] != pod.uid:
                return
            if not self._store.is_fresh:
                await asyncio.sleep(ASK_SECONDS)  # nobody tells us, so we ask

    async def list(self) -> Slots:
        """From the watch while that is alive, else a list of the server's."""
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
        """Follow the pods. Raises `BackendUnavailable` where that breaks off; call it again then.

        Also wakes when a node has been given enough time for a sandbox: there is no event for what does not happen.
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

    async def close(self) -> None:
        """Close the connections."""
        await self._cluster.close()
