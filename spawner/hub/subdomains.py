"""Hosts below the hub's own: each person's notebooks get one, and so an origin apart; desk and steward need none."""

from __future__ import annotations

from typing import Any

from jupyterhub.utils import subdomain_hook_idna


def subdomains_for_users(name: str, domain: str, kind: str) -> str:
    """As JupyterHub's `subdomain_hook`: services are ours, and stay where the hub is."""
    return str(subdomain_hook_idna(name, domain, kind)) if kind == "user" else domain


def configure_subdomains(hub: Any, host: str) -> None:
    """Where the hub's own file says nothing else."""
    if "subdomain_host" not in hub:
        hub.subdomain_host = host
    if "subdomain_hook" not in hub:
        hub.subdomain_hook = subdomains_for_users
