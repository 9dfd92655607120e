"""A subdomain per user, so that each user's notebooks have an origin of their own. Services get none."""

from __future__ import annotations

from typing import Any

from jupyterhub.utils import subdomain_hook_idna


def subdomains_for_users(name: str, domain: str, kind: str) -> str:
    """JupyterHub's `subdomain_hook`: services stay on the hub's host."""
    return str(subdomain_hook_idna(name, domain, kind)) if kind == "user" else domain


def configure_subdomains(hub: Any, host: str) -> None:
    """Set the subdomain host and hook, unless the hub's own file has set them."""
    if "subdomain_host" not in hub:
        hub.subdomain_host = host
    if "subdomain_hook" not in hub:
        hub.subdomain_hook = subdomains_for_users
