"""What is passed on of a request's and an answer's head, between a browser and an app. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tornado.httputil import HTTPHeaders

HOP = frozenset({"connection", "keep-alive", "proxy-connection", "upgrade", "expect", "transfer-encoding"})
"""Headers between two neighbours. The body's own `Transfer-Encoding` is kept: bodies are passed on as they come."""
NOT_SENT = frozenset({"cookie", "x-forwarded-for", "x-real-ip", "forwarded", "x-request-id"})
"""An app learns neither its visitors' addresses nor the cookie that lets them in."""
OF_PLATFORM = ("jupyterhub-", "_xsrf")
"""Beginnings of the names of cookies that no app gets."""
NOT_ANSWERED = frozenset({"set-cookie", "strict-transport-security", "alt-svc", "x-robots-tag"})
"""What an app must not decide for a host of the platform's. Cookies are looked through."""
DOMAIN = re.compile(r";\s*domain\s*=[^;]*", re.IGNORECASE)


def request_head(method: str, path: str, headers: HTTPHeaders, *, without: Sequence[str], is_upgrade: bool) -> bytes:
    """The request for the app. `without`: names of cookies that are not sent."""
    lines = [f"{method} {path} HTTP/1.1", *_kept(headers, NOT_SENT, is_upgrade=is_upgrade)]
    cookies = [one for one in _cookies(headers) if is_the_apps(one, without)]
    if cookies:
        lines.append(f"Cookie: {'; '.join(cookies)}")
    return _joined(lines)


def answer_head(head: bytes, *, without: Sequence[str], frames: str) -> bytes:
    """The app's answer for the browser. `without`: names of cookies that it may not set; `frames`: who may frame it."""
    first, _, rest = head.decode("latin-1").partition("\r\n")
    headers = HTTPHeaders.parse(rest)
    lines = [first, *_kept(headers, NOT_ANSWERED, is_upgrade=is_switch(head))]
    cookies = [one for one in headers.get_list("Set-Cookie") if _name(one) not in without]
    lines += [f"Set-Cookie: {DOMAIN.sub('', one)}" for one in cookies]
    lines += [f"Content-Security-Policy: frame-ancestors {frames}", "X-Robots-Tag: noindex"]
    return _joined(lines)


def status_of(head: bytes) -> int:
    """The status of an answer. Raises `ValueError` where it is no HTTP."""
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        raise ValueError("no HTTP")
    return int(words[1][:3])


def is_switch(head: bytes) -> bool:
    """Whether the app answers 101: a websocket."""
    return status_of(head) == 101


def _kept(headers: HTTPHeaders, without: frozenset[str], *, is_upgrade: bool) -> Iterable[str]:
    for name, value in headers.get_all():
        known = name.lower()
        if known not in without and (known not in HOP or known == "transfer-encoding"):
            yield f"{name}: {value}"
    yield from ("Connection: Upgrade", "Upgrade: websocket") if is_upgrade else ("Connection: close",)


def is_the_apps(cookie: str, without: Sequence[str] = ()) -> bool:
    """Whether an app gets a cookie that a browser sends, `name=value`."""
    return _name(cookie) not in without and not cookie.startswith(OF_PLATFORM)


def _cookies(headers: HTTPHeaders) -> list[str]:
    return [one.strip() for line in headers.get_list("Cookie") for one in line.split(";") if one.strip()]


def _name(cookie: str) -> str:
    return cookie.partition("=")[0].strip()


def _joined(lines: Iterable[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
