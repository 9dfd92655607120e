"""A local copy of the pool's pods: one list, then a watch.

A dead watch looks like one without events. So each watch is short: the server ends it after a few seconds, and one that
is not ended in time is dead. No event is missed in between, because each watch continues from the last resource version
(bookmarks advance it without events). The store is fresh only while that chain is unbroken.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from spawner.pool.backends.base import Slots, SlotStatus
from spawner.pool.backends.kubernetes.client import Cluster, WatchBroken
from spawner.pool.backends.kubernetes.manifest import SELECTOR
from spawner.pool.backends.kubernetes.pods import NO_VERSION, Pod, read_pod, without_user_namespace

log = logging.getLogger("freepool.kube")
WATCH_SECONDS = 5
FRESH_SECONDS = 9.0
"""The longest time since the server's last message: one watch, its slack, and a margin."""
SANDBOX_SECONDS = 15.0
"""How long a node may take for the sandbox of a pod with a user namespace. It takes one second; after these the node
counts as one without support."""
MAX_DELETED = 1000
"""Number of deleted pods whose late events are ignored."""


class PodStore:
    """The pods of one namespace. Fresh only while `follow` runs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pods: dict[str, Pod] = {}
        self._deleted: dict[str, None] = {}
        self._without_sandbox: dict[str, float] = {}
        self._followers = 0
        self._heard_at = float("-inf")
        self._since: str | None = None
        self._changed = asyncio.Condition()

    @property
    def is_fresh(self) -> bool:
        """Whether the copy is at most a few seconds old."""
        return self._followers > 0 and asyncio.get_running_loop().time() - self._heard_at < FRESH_SECONDS

    def slots(self) -> Slots:
        """The status of each slot, by id."""
        return {pod.status.id: self._judged(pod) for pod in self._pods.values()}

    def _judged(self, pod: Pod) -> SlotStatus:
        since = self._without_sandbox.get(pod.uid)
        if since is None or asyncio.get_running_loop().time() - since < SANDBOX_SECONDS:
            return pod.status
        detail = f"{pod.status.node} made no sandbox with a user namespace within {SANDBOX_SECONDS:.0f} s"
        return without_user_namespace(pod.status, detail, is_silent=True)

    def patience(self) -> float | None:
        """Seconds until the next pod's sandbox is overdue; None where no pod waits for one."""
        now = asyncio.get_running_loop().time()
        left = [since + SANDBOX_SECONDS - now for since in self._without_sandbox.values()]
        return min((one for one in left if one > 0), default=None)

    async def follow(self) -> AsyncGenerator[None, None]:
        """Yield once the copy is complete, then after every change. Raises `BackendUnavailable`.

        Called again, it continues from the last resource version, unless that is too old: a watch does not say when it
        has caught up, so the copy would be stale and look fresh.
        """
        loop = asyncio.get_running_loop()
        self._followers += 1
        try:
            if self._since is None or not self.is_fresh:
                await self._list()
            yield
            while True:
                began = loop.time()
                async with aclosing(self._watch()) as changes:
                    async for _ in changes:
                        yield
                if loop.time() - began < 1:
                    await asyncio.sleep(1)  # a server that shuts down ends every watch at once
        finally:
            self._followers -= 1

    async def _list(self) -> None:
        pods, since = await list_pods(self._cluster)
        for uid in self._pods.keys() - pods.keys():
            self._forget(uid)
        self._pods = pods
        self._without_sandbox = {}  # events since the last one are unknown, so measure the time again
        for pod in pods.values():
            self._time(pod)
        self._since = since
        await self._heard(True)

    async def _watch(self) -> AsyncGenerator[None, None]:
        assert self._since is not None
        try:
            async with self._cluster.watching(SELECTOR, since=self._since, seconds=WATCH_SECONDS) as lines:
                await self._heard(False)
                async for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # most often 410: the resource version is too old
                        raise WatchBroken("The watch starts anew: {why}", why=event["object"].get("message"))
                    changed = self._take(event)
                    await self._heard(changed)
                    if changed:
                        yield
                    await asyncio.sleep(0)  # after a pause hundreds come at once: let other tasks run in between
        except WatchBroken:
            self._since = None
            raise
        await self._heard(False)  # the server ended it in time: no event was missed

    def _take(self, event: dict[str, Any]) -> bool:
        """Apply an event. True where it changed the copy."""
        found = event["object"]
        self._since = found["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            return False
        pod = read_pod(found)
        if pod is None:
            return False
        if event["type"] == "DELETED":
            self._forget(pod.uid)
            return self._pods.pop(pod.uid, None) is not None
        return self._put(pod)

    def _put(self, pod: Pod) -> bool:
        known = self._pods.get(pod.uid)
        if (
            pod.version == NO_VERSION
            or pod.uid in self._deleted
            or (known is not None and known.version >= pod.version)
        ):
            return False
        self._pods[pod.uid] = pod
        self._time(pod)
        if known is None or known.lacks_sandbox != pod.lacks_sandbox:
            return True  # `patience` has changed
        return known.status != pod.status or known.leaving != pod.leaving

    def _time(self, pod: Pod) -> None:
        if pod.lacks_sandbox:
            self._without_sandbox.setdefault(pod.uid, asyncio.get_running_loop().time())
        else:
            self._without_sandbox.pop(pod.uid, None)

    def _forget(self, uid: str) -> None:
        self._without_sandbox.pop(uid, None)
        self._deleted[uid] = None
        while len(self._deleted) > MAX_DELETED:
            del self._deleted[next(iter(self._deleted))]

    async def note(self, pod: Pod) -> None:
        """Apply an answer of the server that is no event, such as that to a creation."""
        if self._put(pod):
            await self._announce()

    async def _heard(self, changed: bool) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._heard_at > FRESH_SECONDS:
            # This process was frozen, or the server was. A sandbox may have been made meanwhile, and the line that says
            # so may be the next one: the time counts anew.
            self._without_sandbox = dict.fromkeys(self._without_sandbox, now)
        self._heard_at = now
        if changed:
            await self._announce()

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def wait_gone(self, uid: str, *, seconds: float) -> bool:
        """Wait until a noted pod is gone. False where it still exists after so many seconds."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: uid not in self._pods)
        except TimeoutError:
            return False
        return True


async def list_pods(cluster: Cluster) -> tuple[dict[str, Pod], str]:
    """All pods of the pool by uid, and the resource version to watch from. Raises `BackendUnavailable`."""
    pods: dict[str, Pod] = {}
    since = ""
    async for page in cluster.pages(SELECTOR):
        since = page["metadata"]["resourceVersion"]
        for item in page["items"]:
            pod = read_pod(item)
            if pod is not None:
                pods[pod.uid] = pod
        await asyncio.sleep(0)  # let other tasks run between pages
    return pods, since
