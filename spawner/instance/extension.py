"""Jupyter Server extension: a person's files as one download, and a clear no to a second claim."""

from __future__ import annotations

from typing import Any

from jupyter_server.utils import url_path_join
from tornado.web import RequestHandler

from spawner.instance.activity import ActivityHandler
from spawner.instance.archive import ArchiveHandler
from spawner.instance.arguments import ARCHIVE
from spawner.instance.sealing import ACTIVITY_PATH, CLAIM_PATH, HEALTH_PATH


class _ClaimHandler(RequestHandler):
    """Refuses a second claim."""

    def check_xsrf_cookie(self) -> None:
        """No cookie is involved: nothing is granted here."""

    def post(self) -> None:
        """Refuse and log."""
        self.settings["serverapp"].log.warning("freepool: refused a second claim from %s", self.request.remote_ip)
        self.set_status(409)
        self.finish("already claimed")


class _HealthHandler(RequestHandler):
    """Says that this slot has become a server."""

    def get(self) -> None:
        """Answer."""
        self.finish("claimed")


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "spawner.instance.extension"}]


def _load_jupyter_server_extension(app: Any) -> None:
    archive = url_path_join(app.web_app.settings["base_url"], ARCHIVE)
    routes = [(CLAIM_PATH, _ClaimHandler), (HEALTH_PATH, _HealthHandler), (archive, ArchiveHandler)]
    routes.append((ACTIVITY_PATH, ActivityHandler))
    app.web_app.add_handlers(".*$", routes)
