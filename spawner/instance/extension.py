"""Jupyter Server extension: after the claim, the same port says clearly that there is no second one."""

from __future__ import annotations

from typing import Any

from tornado.web import RequestHandler

from spawner.instance.sealing import CLAIM_PATH, HEALTH_PATH


class _ClaimHandler(RequestHandler):
    """A claim that comes too late, whoever sends it."""

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
    app.web_app.add_handlers(".*$", [(CLAIM_PATH, _ClaimHandler), (HEALTH_PATH, _HealthHandler)])
