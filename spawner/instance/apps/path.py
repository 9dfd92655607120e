"""Apps at `proxy/PORT/` of this server, by jupyter-server-proxy: in the lab's origin, for its owner.

Programs with a token use it everywhere, and pages where apps have no hosts of their own. Where they have, a page that
is opened here goes on to its host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit

from jupyter_server.utils import url_path_join
from tornado.web import HTTPError

from spawner.instance.apps.heads import forwarded, is_of_proxies, is_the_apps
from spawner.instance.apps.package import is_installed
from spawner.instance.apps.rules import Rules
from spawner.instance.apps.same_origin import is_navigation, is_websocket, may_pass
from spawner.instance.apps.state import SETTING, Apps
from spawner.instance.apps.use import changes_something

ROUTES = ((r"proxy/(\d+)(/.*|)", False), (r"proxy/absolute/(\d+)(/.*|)", True))
"""As jupyter-server-proxy has them. Its routes to other hosts are left out."""
BROWSER = "owner"
TOKEN = "token"  # noqa: S105  (a name)
"""The parameter of an address in which JupyterHub and Freepool take tokens of websockets."""


def without_sign_in(headers: Mapping[str, str], *, by_token: bool) -> dict[str, str]:
    """A request's headers without what signs its user in at the platform."""
    kept = {name: value for name, value in headers.items() if not (by_token and name.lower() == "authorization")}
    cookies = [one.strip() for one in kept.pop("Cookie", "").split(";") if one.strip()]
    others = [one for one in cookies if is_the_apps(one)]
    return kept | ({"Cookie": "; ".join(others)} if others else {})


def without_token(query: str) -> str:
    """A query string without the token that may sign its user in at the platform. The rest stays as it is."""
    return "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != TOKEN)


def own_origin(rules: Rules, request: Any) -> str:
    """The origin of the lab's pages, as the browser of a request knows it.

    Tornado's `request.protocol` is that of the last proxy's hop: `X-Forwarded-Proto: https,http` makes it http.
    """
    from jupyterhub.utils import get_browser_protocol  # noqa: PLC0415  (importing the agent must not load it)

    return rules.lab_origin or f"{get_browser_protocol(request)}://{request.host}"


def may_ask(request: Any, origin: str) -> bool:
    """Whether a request may go on to its authentication.

    A websocket without an `Origin` is no browser's: it may, and is refused afterwards where a cookie signed it in.
    """
    if "Service-Worker" in request.headers:
        return False
    is_program = is_websocket(request.headers) and "Origin" not in request.headers
    return is_program or may_pass(request.method, request.headers, origin)


def path_routes(base_url: str) -> list[tuple[str, type, dict[str, Any]]]:
    """The routes; none where the package is not installed."""
    if not is_installed():
        return []
    handler = _make_handler()
    return [(url_path_join(base_url, route), handler, {"absolute_url": is_absolute}) for route, is_absolute in ROUTES]


def _make_handler() -> type:
    from jupyter_server_proxy.handlers import LocalProxyHandler  # noqa: PLC0415  (an image may lack it)

    class PathHandler(LocalProxyHandler):
        """jupyter-server-proxy's, for ports that may be opened."""

        @property
        def apps(self) -> Apps:
            found: Apps = self.settings[SETTING]
            return found

        async def prepare(self, *args: Any, **kwargs: Any) -> None:
            """Look where the request comes from, and lead pages to their own host."""
            rules, request, port = self.apps.rules, self.request, int(self.path_args[0])
            origin = own_origin(rules, request)
            if not rules.allows(port):
                raise HTTPError(404, f"Port {port} cannot be opened: {rules.off or 'it is the platform’s'}.")
            if not may_ask(request, origin):
                raise HTTPError(403)
            if rules.hosts and request.headers.get("Sec-Fetch-Mode") == "navigate":
                if request.method != "GET" or not is_navigation(request.headers):
                    raise HTTPError(403, "Open this app in a page of its own.")
                query = without_token(request.query)
                after = quote(f"{self.path_args[1] or '/'}{'?' if query else ''}{query}", safe="")
                self.redirect(f"{self.apps.lab_url}freepool/apps/open/{port}?next={after}")
                return
            await super().prepare(*args, **kwargs)
            if not self._by_token and not may_pass(request.method, request.headers, origin):
                raise HTTPError(403)
            if not self._finished:
                self.apps.opened.add(port)
                if not is_websocket(request.headers):
                    self._note()

        @property
        def _by_token(self) -> bool:
            """Whether a token has signed the request in, and no cookie. JupyterHub says so after `prepare`."""
            return bool(getattr(self, "_token_authenticated", False))

        def _note(self) -> None:
            if changes_something(self.request.method, self.request.headers):
                self.apps.note(BROWSER, f"{self.request.method} {urlsplit(self.request.uri).path}")

        def on_message(self, message: Any) -> None:
            """Of the page's websocket."""
            self.apps.note(BROWSER, f"websocket {self.request.path}")
            super().on_message(message)

        def _record_activity(self) -> None:
            """`_note` does, and takes no poll for it."""

        def proxy_request_headers(self) -> Any:
            """Without the platform's own cookies and token."""
            headers = super().proxy_request_headers()
            kept = without_sign_in(headers, by_token=self._by_token)
            kept = {name: value for name, value in kept.items() if not is_of_proxies(name)}
            return type(headers)(kept | forwarded(own_origin(self.apps.rules, self.request)))

        def get_client_uri(self, *args: Any, **kwargs: Any) -> str:
            """The app's address, without the platform's token: the app would read it, and it would be logged."""
            address, query = str(super().get_client_uri(*args, **kwargs)), self.request.query
            kept = without_token(query)
            return address.removesuffix(f"?{query}") + (f"?{kept}" if kept else "")

    return PathHandler
