"""The part of JupyterHub that an instance needs: its version, and the owner of a token."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jupyterhub
from aiohttp import web


@dataclass
class FakeHub:
    """`tokens` maps tokens to user names."""

    url: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Its TCP port."""
        return int(self.url.rpartition(":")[2])

    async def answer(self, request: web.Request) -> web.Response:
        """GET /user names the owner of the token; everything else is the version."""
        self.asked.append(request.path)
        body: dict[str, Any] = {"version": jupyterhub.__version__}
        status = 200
        if request.path.endswith("/user"):
            token = request.headers.get("Authorization", "").removeprefix("token ")
            name = self.tokens.get(token)
            status = 200 if name else 403
            body = {
                "kind": "user",
                "name": name,
                "admin": False,
                "groups": [],
                "scopes": [f"access:servers!server={name}/"],
                "session_id": None,
            }
        return web.Response(
            text=json.dumps(body),
            status=status,
            content_type="application/json",
            headers={"X-JupyterHub-Version": jupyterhub.__version__},
        )

    def environment(self, user: str, token: str) -> dict[str, str]:
        """What JupyterHub gives a user's server, but for the server's own URL."""
        scope = json.dumps([f"access:servers!server={user}/"])
        return {
            "JUPYTERHUB_API_TOKEN": token,
            "JUPYTERHUB_API_URL": f"{self.url}/hub/api",
            "JUPYTERHUB_ACTIVITY_URL": f"{self.url}/hub/api/users/{user}/activity",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{user}",
            "JUPYTERHUB_HOST": "",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": scope,
            "JUPYTERHUB_OAUTH_CALLBACK_URL": f"/user/{user}/oauth_callback",
            "JUPYTERHUB_OAUTH_SCOPES": scope,
            "JUPYTERHUB_SERVER_NAME": "",
            "JUPYTERHUB_SERVICE_PREFIX": f"/user/{user}/",
            "JUPYTERHUB_USER": user,
        }


@asynccontextmanager
async def fake_hub() -> AsyncIterator[FakeHub]:
    """Run it on a free port of the loopback interface."""
    hub = FakeHub()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hub.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    hub.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield hub
    finally:
        await runner.cleanup()
