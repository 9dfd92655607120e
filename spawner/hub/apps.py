"""What an instance is told about apps on its ports."""

from __future__ import annotations

from urllib.parse import urlsplit

from spawner.instance.apps.rules import Off, Rules
from spawner.instance.features import NOTEBOOK_PORT
from spawner.origins import is_localhost
from spawner.pool.backends.local.network import Means
from spawner.pool.build import forwarded_ports
from spawner.settings import Isolation, Settings
from spawner.user_hosts import app_hosts

LEADS_TO_APPS = "freepool_leads_to_apps"
"""In the hub's Tornado settings where the proxy is Freepool's own, which leads apps' hosts to notebooks."""


def rules_of(settings: Settings, *, user_url: str, path: str, leads_to_apps: bool) -> Rules:
    """The rules for one instance.

    `user_url`: URL of the host of its user's notebooks; empty where they share the hub's. `path`: the server's.
    `leads_to_apps`: the proxy is Freepool's own, which knows apps' hosts.
    """
    hosts = app_hosts(user_url) if user_url and leads_to_apps else ""
    has_relay = settings.kubernetes is None and is_localhost(urlsplit(user_url).hostname or "")  # desk/relay.py
    return Rules(
        off=_off(settings),
        hosts=hosts,
        share=settings.apps.share and bool(hosts),
        closed=tuple(sorted(forwarded_ports(settings))) if settings.kubernetes is None else (NOTEBOOK_PORT,),
        programs=f"{settings.public_url.rstrip('/')}{path}" if has_relay and leads_to_apps else "",
    )


def _off(settings: Settings) -> Off:
    if not settings.apps.enabled:
        return Off.ADMIN
    if settings.kubernetes is not None:
        return Off.NOT
    is_shared = settings.isolation is Isolation.NONE or settings.network.means == Means.SHARED.value
    return Off.SHARED_LOOPBACK if is_shared else Off.NOT
