"""Names of the hosts of users' notebooks."""

from __future__ import annotations

import base64
import hashlib
import re

from jupyterhub.utils import subdomain_hook_idna

STUB = 8
"""Characters of the name at the beginning of a label that is made of a hash."""
HASH = 26
"""Characters of the hash in base 32: 130 bits."""


def host_of_user(name: str, domain: str) -> str:
    """A host below `domain` whose label is the name itself, or its IDNA form, or a hash of it.

    JupyterHub's own hash has 28 bits. A user who can choose their name, such as an email address, could search for one
    with another user's hash within minutes, and so get that user's origin.
    """
    label = str(subdomain_hook_idna(name, "", "user")).removesuffix(".")
    is_own = label.islower() and (label == name or label.startswith("xn--"))  # hosts do not tell upper case from lower
    return f"{label if is_own else _hashed(name)}.{domain}"


def _hashed(name: str) -> str:
    stub = re.sub("[^a-z0-9]", "", name.lower())[:STUB] or "x"
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()
    return f"u-{stub}--{digest[:HASH]}"
