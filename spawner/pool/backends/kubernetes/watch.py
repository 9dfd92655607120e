"""What is known of the pool's pods: one list, and from then on every change, as the API server tells them.

A watch that has died looks just like a quiet day. So each one is short: the server ends it after a few seconds, and one
that was not ended in time is dead. Between two of them nothing is missed, because each goes on from the resource
version where the last one stopped (bookmarks keep that fresh while nothing happens). What is known is served only for
as long as that chain is whole; after that the store says that it does not know.
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
"""How old the last word of the server may be: one watch, its slack, and a little."""
SANDBOX_SECONDS = 15.0
"""What a node gets for the sandbox of a pod with users of its own. It takes one second; after these it is taken for one
that cannot do it."""
MAX_DELETED = 1000
"""Deleted pods whose late news are recognised as such."""


class PodStore:
    """The pods of one namespace. `follow` keeps it true; without a follower it is never fresh."""

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
        """Whether what is known is what the server said a few seconds ago at most."""
        return self._followers > 0 and asyncio.get_running_loop().time() - self._heard_at < FRESH_SECONDS

    def slots(self) -> Slots:
        """The slots of the pods that are known."""
        return {pod.status.id: self._judged(pod) for pod in self._pods.values()}

    def _judged(self, pod: Pod) -> SlotStatus:
        since = self._without_sandbox.get(pod.uid)
        if since is None or asyncio.get_running_loop().time() - since < SANDBOX_SECONDS:
            return pod.status
        detail = f"{pod.status.node} made no sandbox with a user namespace within {SANDBOX_SECONDS:.0f} s"
        return without_user_namespace(pod.status, detail, is_silent=True)

    def patience(self) -> float | None:
        """Seconds until the next pod has waited long enough for a sandbox; None where none waits."""
        now = asyncio.get_running_loop().time()
        left = [since + SANDBOX_SECONDS - now for since in self._without_sandbox.values()]
        return min((one for one in left if one > 0), default=None)

    async def follow(self) -> AsyncGenerator[None, None]:
        """Yield once it is known what there is, and then after every change. Raises `BackendUnavailable`.

        Called again after that, it goes on where it stopped, unless that is too long ago: a watch does not say when it
        has told all that came in between, and until then what is known would be old and look fresh.
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
                    await asyncio.sleep(1)  # a server that is going down ends every watch at once
        finally:
            self._followers -= 1

    async def _list(self) -> None:
        pods, since = await list_pods(self._cluster)
        for uid in self._pods.keys() - pods.keys():
            self._forget(uid)
        self._pods = pods
        self._without_sandbox = {}  # what happened since the last news is not known: the time counts anew
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
                    if event["type"] == "ERROR":  # most often 410: the server has forgotten that point
                        raise WatchBroken("The watch starts anew: {why}", why=event["object"].get("message"))
                    changed = self._take(event)
                    await self._heard(changed)
                    if changed:
                        yield
                    await asyncio.sleep(0)  # after a silence hundreds come at once, and others have their turn between
        except WatchBroken:
            self._since = None
            raise
        await self._heard(False)  # ended by the server, in time: nothing was missed until now

    def _take(self, event: dict[str, Any]) -> bool:
        """Note an event; whether anything is different now."""
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
            return True  # `patience` is another one now
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
        """Take in an answer of the server that was not an event, such as that to a creation."""
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
        """Wait until a pod that was noted here is known to be gone; False where it is still there after so long."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: uid not in self._pods)
        except TimeoutError:
            return False
        return True


async def list_pods(cluster: Cluster) -> tuple[dict[str, Pod], str]:
    """All pods of the pool by uid, and the resource version to watch from. Whole, or `BackendUnavailable`."""
    pods: dict[str, Pod] = {}
    since = ""
    async for page in cluster.pages(SELECTOR):
        since = page["metadata"]["resourceVersion"]
        for item in page["items"]:
            pod = read_pod(item)
            if pod is not None:
                pods[pod.uid] = pod
        await asyncio.sleep(0)  # between pages the others of this process have their turn
    return pods, since
