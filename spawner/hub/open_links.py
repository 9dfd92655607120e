"""Leads addresses of open links that people have to the desk's page: `/open?…`, and nbgitpuller's links."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from jupyterhub import handlers
from jupyterhub.handlers.base import BaseHandler

from spawner.links.nbgitpuller import of_git_pull

PAGE = "/services/desk/open"
GIT_PULL = r"/user-redirect/git-pull/?"


class OpenHandler(BaseHandler):
    """GET /hub/open, to which JupyterHub leads /open"""

    def get(self) -> None:
        """The same query."""
        query = self.request.query
        self.redirect(f"{PAGE}?{query}" if query else PAGE)


class GitPullHandler(BaseHandler):
    """GET /hub/user-redirect/git-pull: the page for nbgitpuller's link

    JupyterHub's own handler asks for a login first, and a login by link loses what was asked for.
    """

    def get(self) -> None:
        """With what the link names."""
        self.redirect(f"{PAGE}?{urlencode(of_git_pull(dict(parse_qsl(self.request.query))))}")


def lead_to_page(hub: Any) -> None:
    """Add the routes; that of nbgitpuller's links where the hub's file leads them nowhere else.

    `hub` is its section of the configuration.
    """
    hub.extra_handlers = [*hub.extra_handlers, (r"/open", OpenHandler)]
    route = (GIT_PULL, GitPullHandler)
    if "user_redirect_hook" not in hub and route not in handlers.default_handlers:
        handlers.default_handlers.insert(0, route)  # JupyterHub tries its own before the extra ones
