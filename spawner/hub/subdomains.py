"""A host per user, so that each user's notebooks have an origin of their own. Services stay on the hub's host."""

from __future__ import annotations

from typing import Any

from spawner.user_hosts import host_of_user


def subdomains_for_users(name: str, domain: str, kind: str) -> str:
    """JupyterHub's `subdomain_hook`. Users get a host, services share the hub's."""
    return host_of_user(name, domain) if kind == "user" else domain


def configure_subdomains(hub: Any, host: str) -> None:
    """Set the subdomain host and hook, unless the hub's own file has set them."""
    if "subdomain_host" not in hub:
        hub.subdomain_host = host
    if "subdomain_hook" not in hub:
        hub.subdomain_hook = subdomains_for_users
