"""Configures JupyterHub for Freepool: a hub's own file calls `configure(c, settings)` only."""

from __future__ import annotations

import gc
import logging
import os
import warnings
from typing import Any

from traitlets.config.loader import LazyConfigValue

from spawner import logs
from spawner.descriptors import raise_limit
from spawner.hub import invitations
from spawner.hub.activity import use_short_rounds
from spawner.hub.announcement import announce_at_login
from spawner.hub.apps import LEADS_TO_APPS
from spawner.hub.bans import HubBans, refuse_banned
from spawner.hub.groups import GroupListener
from spawner.hub.limits import limit_requests
from spawner.hub.loading import load_few
from spawner.hub.log_lines import ContextFormatter
from spawner.hub.login.config import use_crypt_keys, use_login, use_login_links
from spawner.hub.open_links import lead_to_page
from spawner.hub.origins import configure_origins
from spawner.hub.pages.config import use_pages
from spawner.hub.people import HANDLERS, PEOPLE_KEY, HubPeople, post_auth_hook, skip_refresh_of_renamed
from spawner.hub.rate_limits import limit_rates
from spawner.hub.server_requests import order_server_requests
from spawner.hub.spawner import InstanceSpawner
from spawner.hub.spawner_options import check_options
from spawner.hub.terms import ask_before_spawn
from spawner.plain_text import log_plain_text
from spawner.pool.build import new_id, utc_now
from spawner.settings import SETTINGS_VARIABLE, TOKEN_VARIABLE, Settings

DESK = "desk"
STEWARD = "steward"
AUTOMATION = "automation"
DESK_SCOPES = ["access:services!service=desk", "read:users!user", "servers!user"]
"""Of the desk's tokens of users."""

__all__ = ["add_freepool", "configure", "lend", "log_in_by_link", "use_crypt_keys", "use_login", "use_login_links"]

MAX_NAMED_SERVERS = 100
"""The most named servers per user in JupyterHub: bounds the rows that a hostile user can make it write."""


def configure(c: Any, settings: Settings) -> None:
    """A hub of Freepool's own: its address, its tables, its proxy, and `add_freepool`. Later settings win."""
    gc.freeze()  # the hub's modules stay: the garbage collector need not look at them again, not even at the end
    limit_requests()
    raise_limit()
    hub = c.JupyterHub
    hub.default_url = f"/services/{DESK}/"
    hub.db_url = settings.hub_database
    hub.cookie_secret_file = str(settings.state / "secrets" / "cookies")
    hub.pid_file = ""
    # The proxy and the services are siblings of the hub, so none of them ends with another.
    hub.hub_bind_url = settings.hub_bind_url
    hub.hub_connect_url = settings.hub_url.removesuffix("/hub/")
    hub.bind_url = settings.public_url
    if settings.public_url.startswith("https://"):
        # Whatever ends TLS speaks plain HTTP to the proxy, so requests do not tell JupyterHub that its cookies must be
        # Secure.
        hub.public_url = settings.public_url
        hub.tornado_settings = {"cookie_options": {"secure": True}}  # `public_url` leaves the XSRF cookie out
    hub.cleanup_servers = False
    hub.cleanup_proxy = False
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = settings.proxy_api_url
    c.ConfigurableHTTPProxy.auth_token = settings.secret("proxy")
    # A restarted proxy has no routes. JupyterHub checks a proxy of its own every few seconds, but an external one only
    # when it reads users' activity, by default every 5 minutes.
    hub.last_activity_interval = 5
    # By default it is measured 20 times a second, which is most of what an idle hub does.
    c.PeriodicMetricsCollector.event_loop_interval_resolution = 0.2
    _add(c, settings)
    hub.tornado_settings[LEADS_TO_APPS] = True
    limit_rates(c, settings)
    check_options(settings, refuse=True)


def add_freepool(c: Any, settings: Settings) -> None:
    """What any hub needs for Freepool: the spawner and its limits, desk and steward. Adds to lists that exist."""
    _add(c, settings)
    check_options(settings, refuse=False)


def _add(c: Any, settings: Settings) -> None:
    log_plain_text()
    hub = c.JupyterHub
    if logs.is_chosen():
        kind: type[logging.Formatter] = type(logs.formatter())
        hub.log_level = logs.level()
    else:
        kind = ContextFormatter
    hub.logging_config = {"formatters": {"console": {"class": f"{kind.__module__}.{kind.__name__}"}}}
    logs.set_up(logging.getLogger("freepool"))
    if "last_activity_interval" not in hub:
        hub.last_activity_interval = 5  # the steward reads it to see whether users have come for their instances
    use_short_rounds()
    load_few()
    order_server_requests()
    hub.spawner_class = InstanceSpawner
    people = HubPeople(settings, now=utc_now, new_id=new_id)
    people.listen()
    GroupListener(people).listen()
    hub.tornado_settings = _there(hub, "tornado_settings", {}) | {
        "freepool_settings_file": os.environ[SETTINGS_VARIABLE],
        PEOPLE_KEY: lambda: people,  # traitlets copies values, and functions as they are
    }
    hub.extra_handlers = _there(hub, "extra_handlers", []) + HANDLERS + invitations.handlers()
    c.Authenticator.post_auth_hook = post_auth_hook(people, _there(c.Authenticator, "post_auth_hook", None))
    if "refresh_user_hook" not in c.OAuthenticator:
        c.OAuthenticator.refresh_user_hook = skip_refresh_of_renamed
    hub.template_paths = _there(hub, "template_paths", [])
    use_pages(c, settings)
    lead_to_page(hub)
    ask_before_spawn()
    announce_at_login()
    # The pool admits starts: the hub must not refuse them with 429 itself, nor exit because several starts in a row
    # were refused.
    hub.concurrent_spawn_limit = 0
    hub.active_server_limit = 0
    c.Spawner.consecutive_failure_limit = 0
    # Polls are cheap: they read the ledger. So wait for all of them after a restart: a server that is still being
    # checked cannot be stopped.
    hub.init_spawners_timeout = -1
    c.Spawner.poll_interval = 10  # of paid servers; see `InstanceSpawner.start_polling`
    c.Spawner.start_timeout = 300
    c.Spawner.http_timeout = 30
    c.Spawner.default_url = "/lab"
    # The hub's own name may be short, and instances run in another namespace; or it has a socket, and they see none.
    c.Spawner.hub_connect_url = settings.instance_hub_url.removesuffix("/hub/")
    configure_origins(c, settings)
    refuse_banned(HubBans(people))
    if settings.paid is not None:
        _offer_paid(c)
    hub.services = _there(hub, "services", []) + _services(settings)
    hub.load_roles = _there(hub, "load_roles", []) + _roles()
    token = os.environ.get(TOKEN_VARIABLE)
    if token:
        hub.services.append({"name": AUTOMATION, "api_token": token, "display": False})
        hub.load_roles.append({"name": "admin", "services": [AUTOMATION]})


def _offer_paid(c: Any) -> None:
    """Allow named servers, which paid instances are. Others stay as the hub's file has set them, else are refused."""
    hub = c.JupyterHub
    if _there(hub, "allow_named_servers", False):
        c.InstanceSpawner.named_servers = True
    elif "named_server_limit_per_user" not in hub:
        hub.named_server_limit_per_user = MAX_NAMED_SERVERS
    hub.allow_named_servers = True


def _there(section: Any, name: str, nothing: Any) -> Any:
    """The value that the hub's file has set before, with what it has added to the default."""
    found = section.get(name, nothing)
    return found.get_value(nothing) if isinstance(found, LazyConfigValue) else found


def _services(settings: Settings) -> list[dict[str, Any]]:
    # JupyterHub takes no service with a Unix socket, so there the proxy has the route by itself (hub_config/proxy).
    place = (
        {"url": settings.desk_url}
        if settings.desk_socket is None
        else {"oauth_redirect_uri": f"{settings.subdomain_host or ''}/services/{DESK}/oauth_callback"}
    )
    return [
        {
            "name": DESK,
            **place,
            "api_token": settings.secret("desk"),
            "oauth_no_confirm": True,
            "oauth_client_allowed_scopes": DESK_SCOPES,
            "display": False,
        },
        {"name": STEWARD, "api_token": settings.secret("steward"), "display": False},
    ]


def _roles() -> list[dict[str, Any]]:
    return [
        {
            "name": "user",
            "description": "What everybody may do: themselves, and the desk.",
            "scopes": ["self", f"access:services!service={DESK}"],
        },
        {
            "name": STEWARD,
            "description": "Starts the instances of those whose turn has come, and sees whether they have come.",
            "scopes": ["servers", "read:users:activity"],
            "services": [STEWARD],
        },
    ]


def lend(c: Any, settings: Settings) -> None:
    """The name of `add_freepool` before 0.2; removed in the release after it."""
    warnings.warn("spawner.hub.config.lend is now add_freepool", FutureWarning, stacklevel=2)
    add_freepool(c, settings)


def log_in_by_link(c: Any, settings: Settings) -> None:
    """The name of `use_login_links` before 0.2; removed in the release after it."""
    warnings.warn("spawner.hub.config.log_in_by_link is now use_login_links", FutureWarning, stacklevel=2)
    use_login_links(c, settings)
