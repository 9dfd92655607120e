"""Keeps notebooks' pages from acting at the hub as their visitor, on hosts of their own and on a shared one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.apihandlers.users import SpawnProgressAPIHandler
from jupyterhub.handlers.base import BaseHandler, PrefixRedirectHandler
from tornado.httputil import split_host_and_port
from tornado.web import HTTPError

from spawner.hub.subdomains import configure_subdomains
from spawner.origins import ALONE, COOP, is_localhost
from spawner.settings import Settings

SHARED_TEMPLATES = Path(__file__).parent / "templates-shared"
SERVER_TOKEN_SCOPES = ["users:activity!user", "access:servers!server"]
"""What a notebook server needs at the hub: to report its activity, and to check that a visitor may use it."""

Prepare = Callable[[Any], Awaitable[None]]
PREPARE: Prepare = BaseHandler.prepare
"""JupyterHub's own."""


def configure_origins(c: Any, settings: Settings) -> None:
    """Set hosts and cookies in the hub's configuration. What its own file has set before stays."""
    hub = c.JupyterHub
    tornado = hub.tornado_settings
    tornado["headers"] = {COOP: ALONE} | tornado.get("headers", {})
    if settings.public_url.startswith("https://"):
        tornado["cookie_options"] = {"secure": True} | tornado.get("cookie_options", {})
    if "server_token_scopes" not in c.Spawner:
        c.Spawner.server_token_scopes = SERVER_TOKEN_SCOPES
    if settings.subdomain_host is not None:
        configure_subdomains(hub, settings.subdomain_host)
        domain = urlsplit(settings.subdomain_host).hostname or ""
        stay_on_own_host(domain)
        if is_localhost(domain) and not settings.binds_cookies and settings.kubernetes is None:
            routes = c.Proxy.get("extra_routes", {})
            c.Proxy.extra_routes = {f"{domain}/user/": settings.gate_url} | routes  # spawner/desk/relay.py
        if settings.binds_cookies and "cookie_host_prefix_enabled" not in hub:
            hub.cookie_host_prefix_enabled = True
    elif not settings.guards_pages:
        hub.template_paths = [str(SHARED_TEMPLATES), *hub.template_paths]
        refuse_cookies_for_api()


def stay_on_own_host(domain: str) -> None:
    """Serve no page of the hub on a user's host: who logged in there would be logged in on that user's origin.

    The proxy sends everything without a route of its own to the hub, whatever its host is.
    """
    BaseHandler.prepare = _on_own_host(PREPARE, domain)


def _on_own_host(prepare: Prepare, domain: str) -> Prepare:
    @wraps(prepare)
    async def checked(handler: Any) -> None:
        host, _ = split_host_and_port(handler.request.host.lower())
        is_elsewhere = host.endswith(f".{domain}")
        if isinstance(handler, PrefixRedirectHandler):  # it redirects to the hub's own host by itself, to a hub's page
            is_elsewhere = host != domain and handler.request.path.startswith("/services/")
        if not is_elsewhere:
            await prepare(handler)
        elif handler.request.method in ("GET", "HEAD"):
            handler.redirect(f"{handler.settings['subdomain_host']}{handler.request.uri}")
        else:
            raise HTTPError(403, "The hub does not answer on the host of a user's notebooks.")

    return checked


def refuse_cookies_for_api() -> None:
    """Accept API tokens only for the hub's API, but for the progress of a start.

    On a shared origin a script in a notebook has its visitor's cookies, and can read the XSRF token of the hub's pages.
    """
    APIHandler._accept_cookie_auth = False
    SpawnProgressAPIHandler._accept_cookie_auth = True
