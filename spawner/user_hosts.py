"""Names of the hosts of users' notebooks."""

from __future__ import annotations

import base64
import hashlib
import re

from jupyterhub.utils import subdomain_hook_idna

LONGEST_LABEL = 63
"""Characters of a label, by DNS."""
LONGEST_PORT = len("p65535--")
"""Characters that an app's host has before the label of its user's host."""
STUB = 8
"""Characters of the name at the beginning of a label that is made of a hash."""
HASH = 26
"""Characters of the hash in base 32: 130 bits."""


def host_of_user(name: str, domain: str) -> str:
    """A host below `domain` whose label is the name itself, or its IDNA form, or a hash of it.

    JupyterHub's own hash has 28 bits. A user who can choose their name, such as an email address, could search for one
    with another user's hash within minutes, and so get that user's origin. A name is also hashed where its label would
    leave no room for an app's port. Names with `--`, as apps' hosts have (`pPORT--LABEL`), are hashed by JupyterHub,
    and so here.
    """
    label = str(subdomain_hook_idna(name, "", "user")).removesuffix(".")
    is_own = label.islower() and (label == name or label.startswith("xn--"))  # hosts do not tell upper case from lower
    is_own = is_own and len(label) <= LONGEST_LABEL - LONGEST_PORT
    return f"{label if is_own else _hashed(name)}.{domain}"


def app_hosts(user_url: str) -> str:
    """The URLs of apps' hosts, with `{port}` in them, given the URL of the user's host: https://ann.lab.example.org."""
    scheme, _, host = user_url.rstrip("/").partition("://")
    return f"{scheme}://p{{port}}--{host}"


def _hashed(name: str) -> str:
    stub = re.sub("[^a-z0-9]", "", name.lower())[:STUB] or "x"
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()
    return f"u-{stub}--{digest[:HASH]}"
