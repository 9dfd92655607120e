"""A cookie that says that this browser is signed in at the hub, for the desk, which does not see the hub's cookies.

The desk then asks the hub who it is, and shows the landing page to others. The cookie proves nothing.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LogoutHandler

from spawner.origins import SIGNED_IN_COOKIE


def note_sign_ins() -> None:
    """Set the cookie at each login, and remove it at each logout. JupyterHub has no setting for it."""
    login = getattr(BaseHandler.set_login_cookie, "unnoted", BaseHandler.set_login_cookie)
    logout = getattr(BaseHandler.clear_login_cookie, "unnoted", BaseHandler.clear_login_cookie)

    @wraps(login)
    def noted_login(handler: Any, user: Any) -> None:
        login(handler, user)
        days = handler.settings.get("cookie_max_age_days", 14)
        handler._set_cookie(SIGNED_IN_COOKIE, "1", encrypted=False, path="/", expires_days=days, samesite="Lax")

    @wraps(logout)
    def noted_logout(handler: Any, name: str | None = None) -> None:
        logout(handler, name)
        handler.clear_cookie(SIGNED_IN_COOKIE, path="/")

    noted_login.unnoted = login  # type: ignore[attr-defined]
    noted_logout.unnoted = logout  # type: ignore[attr-defined]
    BaseHandler.set_login_cookie = noted_login
    BaseHandler.clear_login_cookie = noted_logout


def say_signed_out() -> None:
    """Show a page that says so after each logout. JupyterHub does only where its login page logs in by itself."""

    async def show(handler: Any) -> None:
        handler.finish(await handler.render_template("logout.html"))

    LogoutHandler.render_logout_page = show
