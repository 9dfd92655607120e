"""The cookie that holds the code of an invitation while its owner is at the login's provider."""

from __future__ import annotations

from typing import Any

from spawner.ledger.people.invitations import read_code
from spawner.settings import Settings

COOKIE = "freepool-invitation"
HOURS = 1
PREFIX = "__Host-"
"""With it, no other host, such as a notebook's, can set the cookie. The browser then wants Secure and the path `/`."""


def keep_code(handler: Any, settings: Settings, code: str) -> None:
    """Set the cookie, encrypted, in a handler of JupyterHub's."""
    handler._set_cookie(_name(settings), code, expires_days=HOURS / 24, samesite="Lax", **_place(handler, settings))


def kept_code(handler: Any, settings: Settings) -> str | None:
    """The code in the cookie; None where there is none that this hub has set within the hour."""
    return read_code((handler.get_secure_cookie(_name(settings), max_age_days=HOURS / 24) or b"").decode())


def drop_code(handler: Any, settings: Settings) -> None:
    """Remove the cookie: it has served."""
    if handler.get_cookie(_name(settings)):
        handler.clear_cookie(_name(settings), **_place(handler, settings))


def _name(settings: Settings) -> str:
    return f"{PREFIX}{COOKIE}" if settings.binds_cookies else COOKIE


def _place(handler: Any, settings: Settings) -> dict[str, Any]:
    """Of a cookie with the prefix: also its removal needs both, or browsers ignore it."""
    return {"path": "/", "secure": True} if settings.binds_cookies else {"path": handler.hub.base_url}
