"""Login by link, for the local pool: who can read the state folder can make links."""

from __future__ import annotations

import hmac
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from jupyterhub.utils import url_path_join
from tornado.web import HTTPError
from traitlets import Unicode

from spawner.hub.login_link import link_token

NOT_VALID = (
    "This link is not valid. Make a new one with <code>freepool link</code>."
    "<br><span lang='zh-CN'>此链接无效，请用 <code>freepool link</code> 生成新链接。</span>"
)
LOGIN_PAGE = (
    "<div><h1>Freepool</h1><p>Open the link that <code>freepool up</code> printed, "
    "or make a new one with <code>freepool link</code>.</p>"
    "<p lang='zh-CN'>请打开 <code>freepool up</code> 打印的链接，"
    "或用 <code>freepool link</code> 生成新链接。</p></div>"
)


class InvalidLink(HTTPError):
    """Shown on JupyterHub's own error page, which reads this attribute."""

    jupyterhub_html_message = NOT_VALID


class LinkHandler(BaseHandler):
    """GET /hub/link?user=…&token=…  (JupyterHub keeps parameters of that name out of its logs)"""

    async def get(self) -> None:
        """Log in and go to the landing page."""
        user = await self.login_user({name: self.get_argument(name, "") for name in ("user", "token")})
        if user is None:
            raise InvalidLink(403, "a link that is not valid", reason="Forbidden")
        self.redirect(self.settings["default_url"])  # get_next_url would keep the token in the URL


class LinkAuthenticator(Authenticator):
    """Checks links. JupyterHub normalizes the names."""

    link_secret = Unicode(help="The secret that links are signed with.").tag(config=True)
    custom_html = LOGIN_PAGE

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        """Adds the page that the link opens."""
        return [*super().get_handlers(app), (r"/link", LinkHandler)]

    def login_url(self, base_url: str) -> str:
        """The page for users who are not logged in: it describes the link."""
        return url_path_join(base_url, "login")

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:  # noqa: ARG002
        """The user's name if the link is genuine."""
        name, token = data.get("user", ""), data.get("token", "")
        genuine = bool(name) and hmac.compare_digest(token.encode(), link_token(self.link_secret, name).encode())
        return name if genuine else None
