"""URLs below `freepool/apps` for the lab: which apps there are, open, share, start. Only the owner's."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, RequestHandler, authenticated

from spawner.instance.apps import ports, tools
from spawner.instance.apps.access import SHARE_HOURS, Share
from spawner.instance.apps.pages import POLICY, message_page
from spawner.instance.apps.path import path_routes
from spawner.instance.apps.relay import ENTER, ROUTE, SHARED, AppHandler
from spawner.instance.apps.state import SETTING, Apps
from spawner.instance.session_handlers import ALIVE_SECONDS, SessionHandler

__all__ = ["ALIVE_SECONDS", "app_routes"]

SHELL = "bash"


class _AppsHandler(SessionHandler):
    @property
    def apps(self) -> Apps:
        """Made by the extension."""
        found: Apps = self.settings[SETTING]
        return found

    @property
    def root(self) -> Path:
        """The workspace."""
        return Path(self.settings["serverapp"].root_dir)

    @property
    def prefix(self) -> str:
        """The path of an app with `{port}` in it, where apps have no hosts."""
        return "" if self.apps.rules.hosts else url_path_join(self.settings["base_url"], "proxy/{port}")

    def port(self, value: Any) -> int:
        """A port that may be opened. Raises 400 and 404."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise HTTPError(400, "Send a port.")
        if not self.apps.rules.allows(value):
            raise HTTPError(404, "This port cannot be opened.")
        return value


def _share_view(share: Share) -> dict[str, Any]:
    return {"id": share.id, "port": share.port, "until": share.until}


class AppsHandler(_AppsHandler):
    """GET /freepool/apps"""

    @authenticated
    @authorized
    async def get(self) -> None:
        """What runs, what can be started, and what is shared."""
        apps = self.apps
        rules = apps.rules
        found = [] if rules.off else [one for one in ports.chosen_listeners() if rules.allows(one.port)]
        shares = {share.id: share for share in apps.access.shares}
        visitors = {one: sum(c.visit.by == one for c in apps.connections) for one in shares}
        self.set_header("Cache-Control", "no-store")
        self.finish(
            json.dumps(
                {
                    "off": rules.off.value,
                    "hosts": bool(rules.hosts),
                    "share": rules.share,
                    "hours": SHARE_HOURS,
                    "ports": [{"port": one.port, "program": one.program} for one in found],
                    "tools": self._tools(),
                    "shares": [_share_view(share) | {"connections": visitors[share.id]} for share in shares.values()],
                }
            )
        )

    def _tools(self) -> list[dict[str, str]]:
        if self.apps.rules.off:
            return []
        has_hosts = bool(self.apps.rules.hosts)
        return [
            {"id": tool.id, "title": tool.title}
            for tool in tools.installed(shutil.which, tools.has_module, has_hosts=has_hosts)
        ]


class SharesHandler(_AppsHandler):
    """POST /freepool/apps/shares: `{port, hours}`, a link for others."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Answer the link, and until when it works."""
        body, apps = self.body(), self.apps
        port, hours = self.port(body.get("port")), body.get("hours")
        if not apps.rules.share:
            raise HTTPError(403, "Apps cannot be shared here.")
        if hours not in SHARE_HOURS:
            raise HTTPError(400, f"Send hours: one of {SHARE_HOURS}.")
        made = apps.access.share(port, hours)
        if made is None:
            raise HTTPError(429, "There are too many links. Revoke one first.")
        share, key = made
        self.set_status(201)
        url = f"{apps.rules.origin(port)}{SHARED}?key={quote(key, safe='')}"
        self.finish(json.dumps(_share_view(share) | {"url": url}))


class ShareHandler(_AppsHandler):
    """DELETE /freepool/apps/shares/ID"""

    @authenticated
    @authorized
    async def delete(self, share_id: str) -> None:
        """Revoke a link, and cut those who came by it."""
        if not self.apps.revoke(share_id):
            raise HTTPError(404)
        self.set_status(204)
        self.finish()


class ToolHandler(_AppsHandler):
    """POST /freepool/apps/tools/ID: start a tool in a terminal, where its output is seen and Ctrl-C ends it."""

    @authenticated
    @authorized
    async def post(self, tool_id: str) -> None:
        """Answer the terminal's name, and the port; no terminal where the tool runs already."""
        has_hosts = bool(self.apps.rules.hosts)
        found = tools.installed(shutil.which, tools.has_module, has_hosts=has_hosts)
        tool = next((one for one in found if one.id == tool_id), None)
        manager = self.settings.get("terminal_manager")
        if tool is None or manager is None:
            raise HTTPError(404)
        port, terminal = self.port(tool.port), None
        if not ports.is_listening(port):
            tools.lay_out(tool, self.root)
            line = tools.command(
                tool, port=port, root=self.root, prefix=self.prefix, program=shutil.which(tool.program) or ""
            )
            shell = [SHELL, "-c", f"echo {shlex.quote('$ ' + line)}; {line}; exec {SHELL}"]
            terminal = manager.create(shell_command=shell, cwd=str(self.root))["name"]
        self.set_status(201)
        query = f"?next={quote(tool.page, safe='')}" + ("&absolute=1" if tool.sees_prefix else "")
        self.finish(json.dumps({"terminal": terminal, "port": port, "path": f"apps/open/{port}{query}"}))


class OpenHandler(JupyterHandler):
    """GET /freepool/apps/open/PORT?next=: leads the owner to an app, which gets a cookie of its own host there.

    A page of another origin can lead here, and gains what any link to the app gains.
    """

    auth_resource = "freepool"

    @authenticated
    @authorized
    async def get(self, port: str) -> None:
        """Wait for the app, page by page, and go there."""
        apps: Apps = self.settings[SETTING]
        rules, number, language = apps.rules, int(port), self.request.headers.get("Accept-Language", "")
        after = self.get_query_argument("next", "/")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        if not rules.allows(number):
            self.set_status(404)
            self._show(message_page(language, "closed", port=number))
        elif not ports.is_listening(number):
            self.set_header("Refresh", "2")
            self._show(message_page(language, "silent", port=number))
        elif rules.hosts:
            query = f"ticket={apps.access.ticket(number)}&next={quote(after, safe='')}"
            self.redirect(f"{rules.origin(number)}{ENTER}?{query}")
        else:
            kind = "proxy/absolute" if self.get_query_argument("absolute", "") else "proxy"
            path = after if after.startswith("/") else "/"
            self.redirect(f"{url_path_join(self.settings['base_url'], kind, port)}{path}")

    def _show(self, page: str) -> None:
        self.set_header("Content-Security-Policy", POLICY)
        self.finish(page)


def app_routes(base_url: str) -> list[tuple[Any, ...]]:
    """All routes of apps."""
    routes: tuple[tuple[str, type[RequestHandler]], ...] = (
        ("freepool/apps", AppsHandler),
        ("freepool/apps/shares", SharesHandler),
        ("freepool/apps/shares/([0-9a-f]+)", ShareHandler),
        ("freepool/apps/tools/([a-z]+)", ToolHandler),
        (r"freepool/apps/open/(\d{4,5})", OpenHandler),
    )
    own = [(url_path_join(base_url, path), handler) for path, handler in routes]
    return [(ROUTE, AppHandler), *own, *path_routes(base_url)]
