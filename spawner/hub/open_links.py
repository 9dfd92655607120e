"""Leads addresses of open links that people have to the desk's page: `/open?…`, and nbgitpuller's links."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from jupyterhub.handlers.base import BaseHandler

from spawner.links.nbgitpuller import of_git_pull

PAGE = "/services/desk/open"
GIT_PULL = "git-pull"


class OpenHandler(BaseHandler):
    """GET /hub/open, to which JupyterHub leads /open"""

    def get(self) -> None:
        """The same query."""
        query = self.request.query
        self.redirect(f"{PAGE}?{query}" if query else PAGE)


def user_redirect(path: str, request: Any, user: Any, base_url: str) -> str | None:  # noqa: ARG001
    """JupyterHub's `user_redirect_hook`: the page for nbgitpuller's links. None: JupyterHub redirects as usual."""
    if path.strip("/") != GIT_PULL:
        return None
    return f"{PAGE}?{urlencode(of_git_pull(dict(parse_qsl(request.query))))}"


def lead_to_page(hub: Any) -> None:
    """Add the route, and the hook where the hub's file has none. `hub` is its section of the configuration."""
    hub.extra_handlers = [*hub.extra_handlers, (r"/open", OpenHandler)]
    if "user_redirect_hook" not in hub:
        hub.user_redirect_hook = user_redirect
