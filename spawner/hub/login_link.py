"""The login link of the local pool. Does not import JupyterHub, which takes half a second.

The link carries HMAC-SHA256(secret, user name). The secret lies in the state folder with mode 0600.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlencode


def link_token(secret: str, user_name: str) -> str:
    """The token in the link of one user."""
    return hmac.new(secret.encode(), b"freepool link v1\0" + user_name.encode(), "sha256").hexdigest()


def login_link(public_url: str, secret: str, user_name: str) -> str:
    """The URL that logs `user_name` in."""
    query = urlencode({"user": user_name, "token": link_token(secret, user_name)})
    return f"{public_url}hub/link?{query}"
