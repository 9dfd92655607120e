"""The endpoints of an instance: a page in place of JupyterLab, and Jupyter's contents API for file transfer.

It runs no notebooks, and its terminal supports one command. The first request needs a token, which then becomes a
cookie for that instance only.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from spawner.demo_cloud.notebooks import contents, terminal
from spawner.demo_cloud.notebooks.instance import Instance
from spawner.demo_cloud.pages import page
from spawner.demo_cloud.world import World

COOKIE, XSRF = "dsw_gateway_token", "_xsrf"


class JupyterEndpoints:
    """The endpoints of all instances."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, application: web.Application) -> None:
        """Add the routes below `/gate`."""
        router = application.router
        router.add_get("/gate/notebook.htm", self.notebook)
        router.add_get("/gate/{instance}/lab{rest:.*}", self.lab)
        router.add_get("/gate/{instance}/files/{path:.+}", self.download)
        router.add_get("/gate/{instance}/api", self.version)
        router.add_get("/gate/{instance}/api/status", self.version)
        router.add_post("/gate/{instance}/terminal", self.terminal)
        router.add_route("*", "/gate/{instance}/api/contents{path:.*}", self.contents)

    async def notebook(self, request: web.Request) -> web.Response:
        """The address for logged-in customers; it redirects to the demo cloud's console, which needs no login."""
        instance = self._world.instances.get(request.query.get("instance", ""))
        if instance is None:
            raise web.HTTPNotFound
        raise web.HTTPFound(f"/console/{instance.account}")

    async def lab(self, request: web.Request) -> web.Response:
        """The page with an instance's files and an upload form."""
        now, instance = self._running(request)
        folder = f"/gate/{instance.id}/"
        token = request.query.get("token")
        if token is not None:
            if self._world.access_tokens.opens(token, instance.id, now) is None:
                return page("gate_closed.html", status=403, instance=instance)
            answer = web.Response(status=302, headers={"Location": f"{folder}lab", "Referrer-Policy": "no-referrer"})
            answer.set_cookie(COOKIE, token, path=folder, httponly=True, samesite="Lax")
            return answer
        if self._token_kind(request, instance, now) is None:
            return page("gate_closed.html", status=403, instance=instance)
        xsrf = request.cookies.get(XSRF) or secrets.token_urlsafe(16)
        path = request.match_info["rest"].partition("/tree/")[2].strip("/")
        shown = self._world.files.get(instance.id, path)
        directory = path if shown is not None and shown.data is None else ""
        answer = page(
            "lab.html",
            nonce=secrets.token_urlsafe(16),
            instance=instance,
            files=list(self._world.files.within(instance.id, directory)),
            where=directory,
            base=folder,
            command=terminal.COMMAND,
            xsrf=xsrf,
            now=now,
        )
        answer.set_cookie(XSRF, xsrf, path=folder, samesite="Lax")
        return answer

    async def version(self, request: web.Request) -> web.Response:
        """Jupyter Server's version, for health checks."""
        self._running(request)
        return web.json_response({"version": "2.0.0-demo", "kernels": 0})

    async def download(self, request: web.Request) -> web.Response:
        """The content of a file."""
        instance, _ = self._entered(request)
        file = self._world.files.get(instance.id, request.match_info["path"])
        if file is None or file.data is None:
            raise web.HTTPNotFound
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=file.data, content_type="application/octet-stream", headers=headers)

    async def contents(self, request: web.Request) -> web.Response:
        """Jupyter's contents API: GET, PUT and DELETE of files and folders."""
        instance, kind = self._entered(request, writes=request.method not in ("GET", "HEAD"))
        path, files, now = request.match_info["path"].strip("/"), self._world.files, self._world.now()
        if request.method not in ("GET", "HEAD") and kind != "Access":
            return _error(403, "This token can only look.")
        try:
            if request.method == "GET":
                return web.json_response(contents.read(files, instance.id, path, request.query, now))
            if request.method == "PUT":
                model, is_new = contents.write(files, instance.id, path, await request.json(), now)
                return web.json_response(model, status=201 if is_new else 200)
            if request.method == "DELETE" and files.remove(instance.id, path):
                return web.Response(status=204)
        except contents.NoSuchFile:
            return _error(404, f"No such file or directory: {path}")
        except (ValueError, KeyError, TypeError) as error:
            return _error(400, f"{type(error).__name__}: {error}")
        return _error(404 if request.method == "DELETE" else 405, "Not here.")

    async def terminal(self, request: web.Request) -> web.Response:
        """Run the supported command."""
        instance, kind = self._entered(request, writes=True)
        if kind != "Access":
            return _error(403, "This token can only look.")
        try:
            command = str((await request.json())["command"])
            output = await asyncio.to_thread(terminal.run, self._world.files, instance.id, command, self._world.now())
        except (terminal.Failed, ValueError, KeyError, TypeError) as error:
            return _error(400, str(error))
        return web.json_response({"said": output})

    def _running(self, request: web.Request) -> tuple[datetime, Instance]:
        now = self._world.now()
        instance = self._world.instances.get(request.match_info["instance"])
        if instance is None:
            raise web.HTTPNotFound
        if instance.status != "Running":
            raise web.HTTPServiceUnavailable(text=f"The instance is {instance.status}.")
        return now, instance

    def _entered(self, request: web.Request, *, writes: bool = False) -> tuple[Instance, str]:
        """Authenticate the request: the instance and the kind of token. Marks the instance as used."""
        now, instance = self._running(request)
        kind = self._token_kind(request, instance, now)
        if kind is None:
            raise web.HTTPForbidden(text="A token is needed.")
        by_cookie = "Authorization" not in request.headers and "token" not in request.query
        if writes and by_cookie:
            sent, expected = request.headers.get("X-XSRFToken", ""), request.cookies.get(XSRF, "")
            if not expected or not hmac.compare_digest(sent, expected):
                raise web.HTTPForbidden(text="'_xsrf' argument missing")
        instance.used = now
        return instance, kind

    def _token_kind(self, request: web.Request, instance: Instance, now: datetime) -> str | None:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        token = credentials if scheme.lower() in ("token", "bearer") else ""
        token = token or request.query.get("token", "") or request.cookies.get(COOKIE, "")
        return self._world.access_tokens.opens(token, instance.id, now)


def _error(status: int, message: str) -> web.Response:
    body: Mapping[str, Any] = {"message": message, "reason": None}
    return web.json_response(body, status=status)
