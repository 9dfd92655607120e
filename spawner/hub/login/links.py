"""Login by link. Read access to the state folder is the right to make links."""

from __future__ import annotations

import time
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.utils import url_path_join
from traitlets import Unicode

from spawner.hub.login.deleted_users import note_deletion, was_deleted_since
from spawner.hub.login.link import BadLink, read_token
from spawner.hub.login.pages import Heading, LoginRefused, QuietHandler, both, in_both
from spawner.origins import is_plain

NEXT_COOKIE = "freepool-next"
"""The desk's landing page sets it: the page to open after the login, in hexadecimal."""
NEW_LINK = (
    "Ask the person who gave it to you for a new one. Administrators make links with <code>freepool link</code>.",
    "请向给你链接的人索取新链接。管理员可用 <code>freepool link</code> 生成。",
)
SENTENCES = {
    BadLink.NOT_VALID: ("This link is incomplete or not valid.", "此链接不完整或无效。"),
    BadLink.EXPIRED: ("This link has expired.", "此链接已过期。"),
    BadLink.USER_DELETED: ("This link was made for a user who has been deleted since.", "此链接所属的用户已被删除。"),
}
PAGES = {bad: both(f"{english} {NEW_LINK[0]}", chinese + NEW_LINK[1]) for bad, (english, chinese) in SENTENCES.items()}
IN_A_TAB = both("Open this link in a tab of its own.", "请在单独的标签页中打开此链接。")
OTHER_USER = (
    "You are signed in as {name}. Another page opened a link that signs you in as a different user. "
    "To use that link, <a href='{logout}'>sign out</a> and open it again.",
    "你当前登录的用户是 {name}。另一个页面打开了一个会让你以其他用户身份登录的链接。"
    "如果要使用该链接，请先<a href='{logout}'>退出登录</a>，再重新打开它。",
)
LOGIN_PAGE = (
    f"<h1>{in_both('Sign in with a link', '通过链接登录')}</h1>"
    "<p>"
    + in_both(
        "Open the link that you were given, or that <code>freepool up</code> printed. Administrators make new ones "
        "with <code>freepool link</code>: in the terminal, or on a cluster in the hub’s pod.",
        "请打开你收到的链接，或 <code>freepool up</code> 打印的链接。管理员可用 <code>freepool link</code> 生成新链接："
        "在终端中运行，集群上则在 hub 的 pod 中运行。",
    )
    + "</p><p class='hint'>"
    + in_both("This browser then stays signed in for some days.", "打开链接后，此浏览器会在数天内保持登录。")
    + "</p>"
)


class LinkHandler(QuietHandler):
    """GET /hub/link?user=…&token=…"""

    async def get(self) -> None:
        """Log in and go to the landing page."""
        self._refuse_other_pages()
        user = await self.login_user({name: self.get_argument(name, "") for name in ("user", "token")})
        if user is None:  # the link is genuine, and JupyterHub's own rules refuse the name
            raise LoginRefused(403, "a user who may not log in", PAGES[BadLink.NOT_VALID], heading=Heading.LINK)
        self.redirect(self._next())  # get_next_url would keep the token in the URL

    def _next(self) -> str:
        """The page of the desk that this browser asked for before it was signed in, else the home page."""
        home = str(self.settings["default_url"])
        kept = self.get_cookie(NEXT_COOKIE)
        if kept is None:
            return home
        self.clear_cookie(NEXT_COOKIE, path=self.hub.base_url)
        try:
            wanted = bytes.fromhex(kept).decode()
        except ValueError:
            return home
        ours = (home, f"{home}open", f"{home}open/wait")  # with a query; `..` would lead to any other page
        is_desks = wanted.partition("?")[0] in ours
        return wanted if is_desks and is_plain(wanted) else home

    def _refuse_other_pages(self) -> None:
        """Whoever has a link can have another's browser open it. Browsers say who asks, and what for; programs do not.

        So no page can load it unseen (`<img>`, `<iframe>`, `fetch`), and none changes who somebody is logged in as, who
        would then link a cloud account, or keep files, as the link's owner.
        """
        headers = self.request.headers
        is_ahead = "prefetch" in headers.get("Sec-Purpose", "")  # speculation rules load a document that nobody sees
        if is_ahead or headers.get("Sec-Fetch-Dest", "document") != "document":
            raise LoginRefused(403, "a page loaded a login link", IN_A_TAB, heading=Heading.LINK)
        now = self.current_user
        if now is None or now.name == self.authenticator.normalize_username(self.get_argument("user", "")):
            return
        # Not from a page of this host either: some lead on to an address that a link to them has named.
        if headers.get("Sec-Fetch-Site", "none") != "none":
            logout = url_path_join(self.hub.base_url, "logout")
            said = both(*OTHER_USER, name=now.name, logout=logout)
            raise LoginRefused(403, "a page would change the user", said, heading=Heading.LINK)


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

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str:
        """The user's name. Raises `LoginRefused`."""
        name = data.get("user", "")
        link = read_token(self.link_secret, name, data.get("token", ""), now=time.time())
        if not isinstance(link, BadLink) and was_deleted_since(handler.db, self.normalize_username(name), link.issued):
            link = BadLink.USER_DELETED
        if isinstance(link, BadLink):
            raise LoginRefused(403, f"a login link was refused: {link}", PAGES[link], heading=Heading.LINK)
        return name

    def delete_user(self, user: Any) -> None:
        """JupyterHub is deleting the user: links that exist must not bring them back."""
        note_deletion(user.db, user.name, time.time())
        super().delete_user(user)
