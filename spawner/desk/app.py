"""The desk's process: one Tornado server."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler

from spawner import logs
from spawner.descriptors import raise_limit
from spawner.desk import common, relay, reports, status, unavailable
from spawner.desk.admin import routes as admin_routes
from spawner.desk.admin.allowance_metrics import AllowanceExposition
from spawner.desk.admin.catalog_metrics import catalog_exposition
from spawner.desk.admin.channels import channel_exposition
from spawner.desk.admin.metrics import exposition
from spawner.desk.admin.metrics_page import MetricsHandler
from spawner.desk.announcement import pages as announcement_pages
from spawner.desk.changes import ChangeNotifier
from spawner.desk.context import Desk
from spawner.desk.hub_auth import DeskAuth
from spawner.desk.i18n import LANGUAGES, load_translations
from spawner.desk.identity import HubLogins
from spawner.desk.open import routes as open_routes
from spawner.desk.openapi import openapi
from spawner.desk.paid import gate
from spawner.desk.paid import routes as paid_routes
from spawner.desk.paid.context import PaidParts
from spawner.desk.paid.metrics import paid_exposition
from spawner.desk.routes import Parameter, Route, tornado_routes
from spawner.desk.terms import routes as terms_routes
from spawner.desk.user import channel_routes
from spawner.desk.user import routes as user_routes
from spawner.desk.user.context import UserParts
from spawner.desk.user.session_changes import SessionChanges
from spawner.desk.user.shared_state import SharedStateReader
from spawner.desk.user.snapshot import SnapshotReader
from spawner.desk.warm_up import warm_up
from spawner.hub_client import OTHER_HUB_PATH, HubClient, open_hub_client
from spawner.ledger import open_ledger
from spawner.pool.build import make_backend, new_id, utc_now
from spawner.pool.day_reader import DayReader
from spawner.pool.last_catalog import read_catalog
from spawner.pool.queue.admission import Admission
from spawner.pool.time.extensions import Extensions
from spawner.pool.time.metered import Metered
from spawner.rate_limits.limiter import RateLimiter
from spawner.rate_limits.server import LimitedServer, is_unforwarded, log_and_note
from spawner.reports import TEMPLATES as REPORT_TEMPLATES
from spawner.request_ids import id_of
from spawner.settings import LARGEST_REQUEST, Settings

log = logging.getLogger("freepool.desk")
FOLDER = Path(__file__).parent
LANGUAGE_TAG = Parameter("tag", {"type": "string", "enum": list(LANGUAGES)}, "|".join(LANGUAGES))
WAITING = 4096
"""Connections that may wait while the desk is busy: where a Unix socket has no more room, it refuses at once."""
BASE = "/services/desk/"
CLIENT_ID = "service-desk"
STATUS = Parameter("status", {"type": "integer"}, "[45][0-9]{2}")


@dataclass(frozen=True)
class Parts:
    """Everything that handlers are given. `paid` is None where no clouds are configured."""

    desk: Desk
    user: UserParts
    paid: PaidParts | None


def make_parts(settings: Settings, hub: HubClient) -> Parts:
    """Build them from the settings. Raises `SetupError`, `CatalogInvalid` and `LedgerUnusable`."""
    read = read_catalog(settings)
    catalog = read.catalog
    ledger = open_ledger(settings.ledger)
    backend = make_backend(settings, catalog)
    admission = Admission(catalog, backend, utc_now, new_id, settings.hubs.name if settings.hubs.has_others else None)
    days = DayReader()
    desk = Desk(
        settings=settings,
        catalog=catalog,
        backend=backend,
        ledger=ledger,
        hub=hub,
        changes=ChangeNotifier(ledger),
        texts=load_translations(),
        templates=Environment(
            loader=FileSystemLoader([FOLDER / "templates", REPORT_TEMPLATES]),
            autoescape=True,
            undefined=StrictUndefined,
        ),
        base=BASE,
        days=days,
        expositions=[
            partial(exposition, catalog=catalog, backend=backend, days=days, hub=settings.hubs.name),
            AllowanceExposition(catalog),
            partial(catalog_exposition, is_refused=read.mistakes is not None),
        ],
        metrics_token=settings.secret_if_there("metrics"),
    )
    if settings.channels.is_on:
        desk.expositions.append(channel_exposition)
    paid = None
    if settings.paid is not None:
        from spawner.desk.paid.build import make_paid_parts  # noqa: PLC0415  (its OAuth library is needed only here)

        paid = make_paid_parts(desk, settings.paid)
        desk.expositions.append(partial(paid_exposition, reaches=paid.paid.reaches))
    shown = paid if settings.guards_pages else None
    extensions = Extensions(catalog, settings.people, Metered(catalog, new_id), utc_now, new_id)
    snapshots = SnapshotReader(admission, utc_now)
    user = UserParts(
        admission=admission,
        snapshots=snapshots,
        shared=SharedStateReader(ledger, snapshots, utc_now),
        paid=shown,
        extensions=extensions,
        session_changes=SessionChanges(ledger, desk.changes, extensions.metering.rivals),
    )
    return Parts(desk, user, paid)


def api_document(*, has_paid: bool) -> dict[str, Any]:
    """The OpenAPI document of the whole API."""
    paid = paid_routes.API if has_paid else ()
    return openapi(
        BASE, (*user_routes.ROUTES, *open_routes.ROUTES, *announcement_pages.ROUTES, *admin_routes.ROUTES, *paid)
    )


def all_routes(parts: Parts) -> list[Any]:
    """The routes of the application, with the arguments of their handlers."""
    desk = parts.desk
    document = api_document(has_paid=parts.paid is not None)
    seen = status.recent_status(desk)
    common_routes = (
        Route("language", common.LanguageHandler),
        Route("language/{tag}", common.LanguageLinkHandler, parameters=(LANGUAGE_TAG,)),
        Route("oauth_callback", common.CallbackHandler),
        Route("health", common.HealthHandler),
        Route(OTHER_HUB_PATH, common.OtherHubHandler),
        Route("status", status.StatusHandler, options={"status": seen}),
        Route("metrics", MetricsHandler, options={"status": seen}),
        Route("report", reports.ReportHandler),
        Route("unavailable/{status}", unavailable.UnavailableHandler, parameters=(STATUS,)),
        Route("api/openapi.json", common.OpenApiHandler, options={"document": document}),
        user_routes.ICON,
        *open_routes.PUBLIC,
        *terms_routes.ROUTES,
        *announcement_pages.ROUTES,
        *(channel_routes.LINKS if desk.settings.channels.is_on else ()),
    )
    return [
        *tornado_routes(BASE, common_routes, desk=desk),
        *tornado_routes(BASE, (*user_routes.ROUTES, *open_routes.ROUTES), desk=desk, parts=parts.user),
        *tornado_routes(BASE, (*paid_routes.PAGES, *paid_routes.API), desk=desk, parts=parts.paid),
        *tornado_routes(BASE, admin_routes.ROUTES, desk=desk),
        (gate.GATE, gate.GateHandler, {"desk": desk}),
        (relay.RELAY, relay.RelayHandler, {"desk": desk}),
    ]


def limited_server(application: Application, settings: Settings) -> LimitedServer:
    """The application behind the limits of its own limiter."""
    limiter: RateLimiter = application.settings["limiter"]
    return LimitedServer(application, limiter, trusted_proxies=settings.trusted_proxies, is_sibling=is_unforwarded)


def make_application(parts: Parts) -> Application:
    """The Tornado application, with JupyterHub's OAuth."""
    desk = parts.desk
    settings = desk.settings
    limiter = RateLimiter(settings.rate_limits)
    token = settings.secret("desk")
    hub_auth = DeskAuth(
        api_url=settings.hub_api_url,
        api_token=token,
        base_url=BASE,
        hub_prefix="/hub/",
        oauth_client_id=CLIENT_ID,
        oauth_redirect_uri=f"{settings.subdomain_host or ''}{BASE}oauth_callback",  # as JupyterHub registers it
        access_scopes={"access:services!service=desk"},
        cookie_host_prefix_enabled=settings.binds_cookies,
        cookie_options={"secure": True} if settings.public_url.startswith("https://") else {},
    )
    return Application(
        all_routes(parts),
        default_handler_class=common.NotFoundHandler,
        default_handler_args={"desk": desk},
        static_path=str(FOLDER / "static"),
        static_url_prefix=f"{BASE}static/",
        static_handler_class=common.FileHandler,
        cookie_secret=hashlib.sha256(f"freepool desk cookies {token}".encode()).digest(),
        hub_auth=hub_auth,
        hub_logins=HubLogins(desk.hub),
        limiter=limiter,
        xsrf_cookie_kwargs={"httponly": True},  # scripts of our pages read the token from the page
        log_function=log_and_note(log_request, limiter),
    )


def log_request(handler: RequestHandler) -> None:
    """Log a request without its query, which may contain an XSRF token or an OAuth code."""
    request = handler.request
    level = logging.INFO if handler.get_status() < 500 else logging.ERROR
    if isinstance(handler, common.HealthHandler) and level == logging.INFO:
        level = logging.DEBUG  # probes ask several times a minute
    ms = request.request_time() * 1000
    with logs.about(request=id_of(handler)):
        log.log(level, "%s", f"{handler.get_status()} {request.method} {request.path} {ms:.0f} ms {request.remote_ip}")


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    raise_limit()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with open_hub_client(settings, "desk") as hub:
        parts = make_parts(settings, hub)
        application = make_application(parts)
        limited = limited_server(application, settings)
        server = HTTPServer(limited, max_body_size=LARGEST_REQUEST)
        if settings.desk_socket is None:
            server.listen(settings.desk_port, settings.address)
        else:
            server.add_socket(bind_unix_socket(str(settings.desk_socket), mode=0o600, backlog=WAITING))
        warming = asyncio.create_task(warm_up(parts.desk, parts.user))
        await stopping.wait()
        warming.cancel()
        server.stop()
        if parts.paid is not None:
            await asyncio.gather(*(provider.close() for provider in parts.paid.paid.providers.values()))
        parts.desk.ledger.close()
