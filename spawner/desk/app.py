"""The desk as a program: one Tornado server."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
from pathlib import Path

import aiohttp
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jupyterhub.services.auth import HubOAuth
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from spawner.catalog import load_catalog
from spawner.desk.admin import pages as admin_pages
from spawner.desk.admin.commands import COMMANDS
from spawner.desk.changes import ChangeNotifier
from spawner.desk.http import Desk
from spawner.desk.i18n import load_translations
from spawner.desk.openapi import LARGEST_BODY
from spawner.desk.paid import gate
from spawner.desk.paid.routes import paid_routes
from spawner.desk.user import instance as instance_handlers
from spawner.desk.user import pages as user_pages
from spawner.desk.user.snapshot import SnapshotReader
from spawner.hub_client import HubClient
from spawner.ledger import open_ledger
from spawner.pool.build import make_backend, new_id, utc_now
from spawner.pool.queue.admission import Admission
from spawner.settings import Settings

log = logging.getLogger("freepool.desk")
FOLDER = Path(__file__).parent
BASE = "/services/desk/"
CLIENT_ID = "service-desk"


def make_desk(settings: Settings, session: aiohttp.ClientSession) -> Desk:
    """What the handlers share."""
    catalog = load_catalog(settings.catalog)
    ledger = open_ledger(settings.ledger)
    backend = make_backend(settings, catalog)
    admission = Admission(catalog, backend, utc_now, new_id)
    desk = Desk(
        settings=settings,
        catalog=catalog,
        backend=backend,
        ledger=ledger,
        admission=admission,
        snapshots=SnapshotReader(admission, utc_now),
        hub=HubClient(session, settings.hub_api_url),
        changes=ChangeNotifier(ledger),
        texts=load_translations(),
        templates=Environment(
            loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined
        ),
        base=BASE,
    )
    if settings.paid is not None:
        from spawner.desk.paid.build import add_paid  # noqa: PLC0415  (what it brings is needed for nothing else)

        add_paid(desk, settings.paid)
    return desk


def make_application(desk: Desk) -> Application:
    """Routes and JupyterHub's OAuth."""
    settings = desk.settings
    token = settings.secret("desk")
    hub_auth = HubOAuth(
        api_url=settings.hub_api_url,
        api_token=token,
        base_url=BASE,
        hub_prefix="/hub/",
        oauth_client_id=CLIENT_ID,
        oauth_redirect_uri=f"{settings.subdomain_host or ''}{BASE}oauth_callback",  # as JupyterHub registers it
        access_scopes={"access:services!service=desk"},
    )
    shared = {"desk": desk}
    routes: list[tuple[str, type[RequestHandler], dict[str, Desk]]] = [
        (BASE, user_pages.PageHandler, shared),
        (f"{BASE}language", user_pages.LanguageHandler, shared),
        (f"{BASE}oauth_callback", user_pages.CallbackHandler, shared),
        (f"{BASE}health", user_pages.HealthHandler, shared),
        (f"{BASE}icons/([a-z0-9-]+)\\.svg", user_pages.IconHandler, shared),
        (f"{BASE}api/openapi.json", user_pages.OpenApiHandler, shared),
        (f"{BASE}api/state", user_pages.StateHandler, shared),
        (f"{BASE}api/events", user_pages.EventsHandler, shared),
        (f"{BASE}api/instance", instance_handlers.StartHandler, shared),
        (f"{BASE}api/instance/stop", instance_handlers.StopHandler, shared),
        (f"{BASE}api/instance/restart", instance_handlers.RestartHandler, shared),
        (f"{BASE}api/ticket", instance_handlers.TicketHandler, shared),
        (f"{BASE}api/ticket/cancel", instance_handlers.CancelTicketHandler, shared),
        (f"{BASE}api/ticket/take", instance_handlers.ClaimTicketHandler, shared),
        (f"{BASE}admin", admin_pages.AdminPageHandler, shared),
        (f"{BASE}operator((?:/.*)?)", admin_pages.OldPageHandler, shared),
        (f"{BASE}api/(?:admin|operator)", admin_pages.AdminStateHandler, shared),
        (f"{BASE}api/(?:admin|operator)/events", admin_pages.AdminEventsHandler, shared),
        (f"{BASE}api/(?:admin|operator)/({'|'.join(COMMANDS)})", admin_pages.AdminCommandHandler, shared),
        (f"{BASE}{gate.OPEN}", gate.OpenHandler, shared),
        (gate.GATE, gate.GateHandler, shared),
        *((f"{BASE}{path}", handler, shared) for path, handler in paid_routes()),
        (f"{BASE}metrics", admin_pages.MetricsHandler, shared),
    ]
    return Application(
        routes,
        default_handler_class=user_pages.NotFoundHandler,
        default_handler_args=shared,
        static_path=str(FOLDER / "static"),
        static_url_prefix=f"{BASE}static/",
        static_handler_class=user_pages.FileHandler,
        cookie_secret=hashlib.sha256(f"freepool desk cookies {token}".encode()).digest(),
        hub_auth=hub_auth,
        xsrf_cookie_kwargs={"httponly": True},  # a page's own script has the token from the page
        log_function=log_request,
    )


def log_request(handler: RequestHandler) -> None:
    """Without the query: it may hold an XSRF token or, at the end of signing in, a code."""
    request = handler.request
    level = logging.INFO if handler.get_status() < 500 else logging.ERROR
    seconds = request.request_time()
    log.log(level, "%d %s %s %.0f ms", handler.get_status(), request.method, request.path, seconds * 1000)


async def run(settings: Settings) -> None:
    """Serve until told to stop (SIGTERM)."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with aiohttp.ClientSession() as session:
        desk = make_desk(settings, session)
        server = HTTPServer(make_application(desk), max_body_size=LARGEST_BODY * 4)
        server.listen(settings.desk_port, settings.address)
        await stopping.wait()
        server.stop()
        if desk.paid is not None:
            await asyncio.gather(*(provider.close() for provider in desk.paid.providers.values()))
        desk.ledger.close()
