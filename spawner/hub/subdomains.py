"""A host per user, so that each user's notebooks have an origin of their own. Services stay on the hub's host."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from jupyterhub.utils import subdomain_hook_idna

STUB = 8
"""Characters of the name at the beginning of a label that is made of a hash."""
HASH = 26
"""Characters of the hash in base 32: 130 bits."""


def subdomains_for_users(name: str, domain: str, kind: str) -> str:
    """JupyterHub's `subdomain_hook`. Users get a host, services share the hub's."""
    return f"{_label(name)}.{domain}" if kind == "user" else domain


def _label(name: str) -> str:
    """The name itself, or its IDNA form, or a hash of it.

    JupyterHub's own hash has 28 bits. A user who can choose their name, such as an email address, could search for one
    with another user's hash within minutes, and so get that user's origin.
    """
    label = str(subdomain_hook_idna(name, "", "user")).removesuffix(".")
    if label.islower() and (label == name or label.startswith("xn--")):  # host names do not tell upper case from lower
        return label
    stub = re.sub("[^a-z0-9]", "", name.lower())[:STUB] or "x"
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()
    return f"u-{stub}--{digest[:HASH]}"


def configure_subdomains(hub: Any, host: str) -> None:
    """Set the subdomain host and hook, unless the hub's own file has set them."""
    if "subdomain_host" not in hub:
        hub.subdomain_host = host
    if "subdomain_hook" not in hub:
        hub.subdomain_hook = subdomains_for_users
