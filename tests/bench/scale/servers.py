"""The one server that answers for all pretended slots: agent, claim and notebook. Prints its port."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from aiohttp import web

from spawner.instance.sealing import CLAIM_PATH, HEALTH_PATH


def application() -> web.Application:
    """Slots are below /s/ID; the rest is the hub's and the proxy's, which know only address and port."""
    claimed: set[str] = set()

    async def health(request: web.Request) -> web.Response:
        return web.Response(text="claimed" if request.match_info["slot"] in claimed else "warm")

    async def claim(request: web.Request) -> web.Response:
        await request.read()
        claimed.add(request.match_info["slot"])
        return web.Response(status=202)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, headers={"X-JupyterHub-Version": version("jupyterhub")})

    made = web.Application()
    made.router.add_get("/s/{slot}" + HEALTH_PATH, health)
    made.router.add_post("/s/{slot}" + CLAIM_PATH, claim)
    made.router.add_route("*", "/{path:.*}", answer)
    return made


async def main() -> None:
    """Until it is ended."""
    runner = web.AppRunner(application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
