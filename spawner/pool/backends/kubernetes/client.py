"""Six verbs on the pods of one namespace of the API server.

Answers are JSON, not models: to build the model of a pod takes a hundred times as long as to read the few fields used
here. Each failure without an answer is `BackendUnavailable`: the state is then unknown.
"""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api, CustomObjectsApi
from kubernetes_asyncio.config import ConfigException

from spawner.errors import BackendUnavailable, NoRoom, SetupError, SlotFailed
from spawner.settings import KubernetesPool

Json = dict[str, Any]
REQUEST_SECONDS = 10.0
GRACE_SECONDS = 1
"""Seconds between SIGTERM and SIGKILL. Instances have nothing to save; but with 0 the API server removes the pod before
its node has ended it."""
PAGE = 100
"""Pods per page of a list: its JSON (6 to 9 KB per pod) is parsed in 10 to 15 ms, while other tasks wait."""


class WatchBroken(BackendUnavailable):
    """The watch cannot continue from its resource version: list again."""


class Cluster:
    """One namespace of one API server. Connects at the first call, in the caller's event loop."""

    def __init__(self, pool: KubernetesPool) -> None:
        self._pool = pool
        self._client: ApiClient | None = None

    async def close(self) -> None:
        """Close all connections; the next call connects again."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connect(self) -> CoreV1Api:
        if self._client is None:
            configuration = Configuration()
            try:
                if self._pool.kubeconfig is None:
                    config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
                else:
                    await config.load_kube_config(str(self._pool.kubeconfig), client_configuration=configuration)
            except (ConfigException, OSError) as error:
                raise SetupError(
                    "The cluster's credentials cannot be read.",
                    next_step="Run inside the cluster, or name a kubeconfig in the settings.",
                    details=str(error),
                ) from error
            self._client = ApiClient(configuration)
        return CoreV1Api(self._client)

    async def create(self, manifest: Json) -> Json | None:
        """Create a pod; None where one of this name is there. Raises `NoRoom` for a full quota, `SlotFailed`."""
        status, answer = await self._ask("create_namespaced_pod", body=manifest)
        message = str(answer.get("message", ""))
        match status:
            case 200 | 201 | 202:
                return answer
            case 409:
                return None
            case 403 if "exceeded quota" in message:
                raise NoRoom("The pool's quota is used up.", details=message)
            case 400 | 403 | 422:
                raise SlotFailed(
                    "The cluster refuses the pod.",
                    next_step="Check the flavor, the image and the limits of the namespace.",
                    details=message,
                )
        raise self._unexpected(status, message)

    async def read(self, name: str) -> Json | None:
        """A pod; None where there is none."""
        status, answer = await self._ask("read_namespaced_pod", name=name)
        if status == 404:
            return None
        return self._good(status, answer)

    async def patch(self, name: str, changes: Json) -> Json | None:
        """Merge changes into a pod; None where there is none."""
        status, answer = await self._ask(
            "patch_namespaced_pod", name=name, body=changes, _content_type="application/merge-patch+json"
        )
        if status == 404:
            return None
        return self._good(status, answer)

    async def delete(self, name: str) -> Json | None:
        """Begin to delete a pod; None where there is none."""
        status, answer = await self._ask("delete_namespaced_pod", name=name, grace_period_seconds=GRACE_SECONDS)
        if status == 404:
            return None
        return self._good(status, answer)

    async def pages(self, selector: str) -> AsyncIterator[Json]:
        """All pods that match, page by page. Raises `BackendUnavailable` where the list breaks off."""
        following: str | None = None
        while True:
            more = {"_continue": following} if following else {}
            status, answer = await self._ask("list_namespaced_pod", label_selector=selector, limit=PAGE, **more)
            page = self._good(status, answer)
            yield page
            following = page["metadata"].get("continue")
            if not following:
                return

    async def metrics(self, selector: str) -> tuple[int, Json]:
        """The status and the PodMetrics of all pods that match: one answer of some 500 bytes a pod."""
        await self._connect()
        with _unavailable():
            answer: Any = await CustomObjectsApi(self._client).list_namespaced_custom_object(
                "metrics.k8s.io",
                "v1beta1",
                self._pool.namespace,
                "pods",
                label_selector=selector,
                _preload_content=False,
                _request_timeout=REQUEST_SECONDS,
            )
            async with answer:
                text = await answer.read()
        await self._let_go_of_credentials(answer.status)
        with _unavailable():
            return answer.status, _parse(text)

    @asynccontextmanager
    async def watching(self, selector: str, *, since: str, seconds: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch that the server ends after `seconds`. Raises where it does not end in time."""
        api = await self._connect()
        with _unavailable():
            answer: Any = await api.list_namespaced_pod(
                self._pool.namespace,
                label_selector=selector,
                watch=True,
                resource_version=since,
                allow_watch_bookmarks=True,
                timeout_seconds=seconds,
                _preload_content=False,
                _request_timeout=aiohttp.ClientTimeout(total=seconds + 3, sock_connect=3),
            )
            try:
                if answer.status == 410:
                    raise WatchBroken("The cluster has forgotten what happened since {since}.", since=since)
                if answer.status != 200:
                    text = (await answer.text())[:500]
                    await self._let_go_of_credentials(answer.status)
                    raise self._unexpected(answer.status, text)
                yield answer.content
            finally:
                if answer.connection is not None and answer.connection.transport is not None:
                    # A TLS shutdown waits up to 30 s for the server's close_notify, and `close` does not wait for it.
                    answer.connection.transport.abort()
                answer.close()

    async def _ask(self, verb: str, **arguments: Any) -> tuple[int, Json]:
        api = await self._connect()
        with _unavailable():
            answer = await getattr(api, verb)(
                namespace=self._pool.namespace,
                _preload_content=False,
                _request_timeout=REQUEST_SECONDS,
                **arguments,
            )
            async with answer:
                text = await answer.read()
        await self._let_go_of_credentials(answer.status)
        with _unavailable():
            return answer.status, _parse(text)

    async def _let_go_of_credentials(self, status: int) -> None:
        """Credentials rotate: after a 401 the next call reads them again."""
        if status == 401:
            await self.close()

    def _good(self, status: int, answer: Json) -> Json:
        if 200 <= status < 300:
            return answer
        raise self._unexpected(status, str(answer.get("message", "")))

    def _unexpected(self, status: int, message: str) -> BackendUnavailable:
        if status in (401, 403):
            return BackendUnavailable(
                "The cluster denied access ({status}).",
                next_step="Check the service account and its Role in {namespace}.",
                status=status,
                details=message,
                namespace=self._pool.namespace,
            )
        return BackendUnavailable("The cluster returned {status}.", status=status, details=message)


def _parse(text: bytes) -> Json:
    """Parse JSON with the garbage collector off. A page has no cycles, but its tens of thousands of objects would
    trigger full collections, which take 100 ms each in a hub, several times per list."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        answer: Json = json.loads(text)
        return answer
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        raise BackendUnavailable(
            "The cluster cannot be reached.", details=str(error) or type(error).__name__
        ) from error
