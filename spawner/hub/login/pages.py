"""Texts that the hub's pages show, in English and Chinese, and errors that carry them."""

from __future__ import annotations

from enum import StrEnum
from html import escape
from http import HTTPStatus
from typing import Any

from jupyterhub.handlers import BaseHandler
from tornado.web import HTTPError


def both(english: str, chinese: str, **values: str) -> str:
    """HTML of one text in both languages, of which a page of ours shows its own. `values` are escaped."""
    safe = {name: escape(value) for name, value in values.items()}
    return in_both(english.format(**safe), chinese.format(**safe))


def in_both(english: str, chinese: str) -> str:
    """HTML of one text in both languages, from HTML. hub.css hides the other language and the line break."""
    parts = (f"<span class='said' lang='{tag}'>{text}</span>" for tag, text in (("en", english), ("zh-CN", chinese)))
    return "<br class='said-break'>".join(parts)


class Heading(StrEnum):
    """Title and heading of a refusal's page. `translations` has the Chinese."""

    NOT_SIGNED_IN = "You were not signed in"
    LINK = "This sign-in link does not work"
    NO_ACCESS = "This account has no access"
    NAME_TAKEN = "This user name is taken"
    PROVIDER_AWAY = "Nobody can sign in right now"
    UNINVITED = "You need an invitation"
    INVITATION = "This invitation cannot be used"
    FULL = "No more new accounts today"
    ELSEWHERE = "Your account is on another server"
    BANNED = "Account banned"
    TOO_MANY = "Too many requests"
    NOT_STARTED = "Your notebook was not started"


class LoginRefused(HTTPError):
    """Shown on JupyterHub's error page, which reads `jupyterhub_html_message` and `heading`.

    `reason` is for the log, and for the login form of an authenticator that has one.
    """

    def __init__(self, status: int, reason: str, html: str, *, heading: Heading = Heading.NOT_SIGNED_IN) -> None:
        super().__init__(status, "%s", reason, reason=HTTPStatus(status).phrase)
        self.jupyterhub_html_message = html
        self.heading = heading


class QuietHandler(BaseHandler):
    """A handler whose query is secret: it is neither logged nor sent on as a referrer, nor is it in a link."""

    has_language_links = False

    def set_default_headers(self) -> None:
        """No referrer."""
        super().set_default_headers()
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    def _request_summary(self) -> str:
        """Tornado logs it with an error."""
        return f"{self.request.method} {self.request.path} ({self.request.remote_ip})"

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """One line for what the user reads on the page."""
        if isinstance(value, LoginRefused):
            self.log.warning("%d %s: %s", value.status_code, self._request_summary(), value.args[0])
        else:
            super().log_exception(kind, value, trace)
