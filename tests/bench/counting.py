"""A way to the API server that counts what passes: the same for both sides, and a millisecond slower for both."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.client.rest import RESTClientObject
from kubernetes_asyncio.config import load_kube_config

HOP_BY_HOP = {"transfer-encoding", "connection", "content-encoding", "content-length", "host"}


@dataclass
class Counter:
    """`requests` that were made through `kubeconfig`."""

    kubeconfig: Path
    requests: int = 0


@contextmanager
def counting(kubeconfig: Path, folder: Path) -> Iterator[Counter]:
    """Run the way in a thread; a kubeconfig that leads through it, with the rights of `kubeconfig` (a certificate)."""
    ready: threading.Event = threading.Event()
    counter = Counter(folder / "kubeconfig")
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        configuration = Configuration()
        await load_kube_config(str(kubeconfig), client_configuration=configuration)
        transport = RESTClientObject(configuration)
        session: ClientSession = transport.pool_manager
        assert isinstance(session.connector, TCPConnector)

        async def passed_on(request: web.Request) -> web.StreamResponse:
            counter.requests += 1
            headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
            async with session.request(
                request.method,
                f"{configuration.host}{request.rel_url}",
                headers=headers,
                data=await request.read(),
                timeout=ClientTimeout(total=None),
            ) as answer:
                response = web.StreamResponse(
                    status=answer.status,
                    headers={n: v for n, v in answer.headers.items() if n.lower() not in HOP_BY_HOP},
                )
                await response.prepare(request)
                with contextlib.suppress(ConnectionResetError):  # whoever watched has gone
                    async for chunk in answer.content.iter_any():
                        await response.write(chunk)
                return response

        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", passed_on)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        counter.kubeconfig.write_text(json.dumps(_kubeconfig(f"http://127.0.0.1:{port}")))
        ready.set()
        await stop.wait()
        await runner.cleanup()
        await transport.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(20), "the way to the API server is not there"
        yield counter
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
