"""Texts that JupyterHub's own pages show, in English and Chinese below each other, and errors that carry them."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Any

from jupyterhub.handlers import BaseHandler
from tornado.web import HTTPError


def both(english: str, chinese: str, **values: str) -> str:
    """HTML of one text in both languages. `values` are escaped."""
    safe = {name: escape(value) for name, value in values.items()}
    return f"{english.format(**safe)}<br><span lang='zh-CN'>{chinese.format(**safe)}</span>"


class LoginRefused(HTTPError):
    """Shown on JupyterHub's error page, which reads `jupyterhub_html_message`.

    `reason` is for the log, and for the login form of an authenticator that has one.
    """

    def __init__(self, status: int, reason: str, html: str) -> None:
        super().__init__(status, "%s", reason, reason=HTTPStatus(status).phrase)  # the title
        self.jupyterhub_html_message = html


class QuietHandler(BaseHandler):
    """A handler whose query is secret: it is neither logged nor sent on as a referrer."""

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
