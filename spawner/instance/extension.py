"""Jupyter Server extension: files as one download, the session for the JupyterLab extension, no second claim."""

from __future__ import annotations

import os
from typing import Any

from jupyter_server.utils import url_path_join
from tornado.web import RequestHandler

from spawner.instance import language, same_content, usage
from spawner.instance.activity import ActivityHandler
from spawner.instance.apps import tools
from spawner.instance.apps.handlers import app_routes
from spawner.instance.apps.rules import read_rules
from spawner.instance.apps.state import SETTING as APPS
from spawner.instance.apps.state import Apps
from spawner.instance.archive import ArchiveHandler
from spawner.instance.arguments import ARCHIVE
from spawner.instance.desk_link import HttpDesk
from spawner.instance.fetch.handlers import fetch_routes
from spawner.instance.handshake_tokens import take_handshake_tokens
from spawner.instance.program_handlers import TOKENS, ProgramTokenHandler
from spawner.instance.program_tokens import ProgramTokens, accept_program_tokens
from spawner.instance.save.handlers import save_routes
from spawner.instance.sealing import ACTIVITY_PATH, CLAIM_PATH, HEALTH_PATH
from spawner.instance.session import Sessions, desk_address
from spawner.instance.session_handlers import FORWARDED, EventsHandler, ForwardHandler, InputHandler


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
    routes += save_routes(app.web_app.settings["base_url"])
    routes += fetch_routes(app.web_app.settings["base_url"])
    app.web_app.add_handlers(".*$", [*routes, *_session_routes(app), *_app_routes(app)])
    hub_auth = getattr(app.identity_provider, "hub_auth", None)
    if hub_auth is not None:  # this server belongs to a hub
        take_handshake_tokens(hub_auth)
        accept_program_tokens(hub_auth, app.web_app.settings[TOKENS])
    usage.set_up(app)
    language.install()
    same_content.install()


def _app_routes(app: Any) -> list[tuple[Any, ...]]:
    settings = app.web_app.settings
    base = settings["base_url"]
    rules = read_rules(os.environ)
    settings[APPS] = Apps(rules, user=os.environ.get("JUPYTERHUB_USER", ""), settings=settings)
    settings[TOKENS] = ProgramTokens()
    prefix = "" if rules.hosts else url_path_join(base, "proxy/{port}")
    for name, value in tools.variables(prefix).items():  # of kernels and terminals
        os.environ.setdefault(name, value)
    return [*app_routes(base), (url_path_join(base, "freepool/program-token"), ProgramTokenHandler)]


def _session_routes(app: Any) -> list[tuple[str, type[RequestHandler]]]:
    app.web_app.settings["freepool_sessions"] = Sessions(HttpDesk(desk_address()))
    base = app.web_app.settings["base_url"]
    return [
        (url_path_join(base, "freepool/session/events"), EventsHandler),
        (url_path_join(base, f"freepool/session/({'|'.join(FORWARDED)})"), ForwardHandler),
        (url_path_join(base, "freepool/input"), InputHandler),
    ]
