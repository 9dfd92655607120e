"""What is passed on of a request's and an answer's head, between a browser and an app. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tornado.httputil import HTTPHeaders

HOP = frozenset({"connection", "keep-alive", "proxy-connection", "upgrade", "expect", "transfer-encoding"})
"""Headers between two neighbours. The body's own `Transfer-Encoding` is kept: bodies are passed on as they come."""
NOT_SENT = frozenset({"cookie", "x-request-id"})
"""Cookies are looked through: an app does not get the one that lets its visitor in."""
OF_PROXIES = frozenset(
    {
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-forwarded-for",
        "x-envoy-external-address",
        "true-client-ip",
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "fastly-client-ip",
        "x-scheme",
        "via",
    }
)
"""What proxies add beside `X-Forwarded-…`: a visitor's address, and a scheme of their own hop."""
OF_PLATFORM = ("jupyterhub-", "freepool-", "_xsrf")
"""Beginnings of the names of cookies that no app gets, without `PREFIX`."""
PREFIX = re.compile("__(?:host|secure)-", re.IGNORECASE)
"""Of cookies that browsers bind to a host or to TLS. JupyterHub's have it behind TLS."""
NOT_ANSWERED = frozenset({"set-cookie", "clear-site-data", "strict-transport-security", "alt-svc", "x-robots-tag"})
"""What an app must not decide for a host of the platform's. Cookies are looked through. `Clear-Site-Data: "cookies"`
deletes the cookies of all hosts below the registrable domain."""
DOMAIN = re.compile(r";\s*domain\s*=[^;]*", re.IGNORECASE)


def is_of_proxies(name: str) -> bool:
    """Whether a header is one that proxies in front add. Apps get `forwarded` instead."""
    return name.lower() in OF_PROXIES or name.lower().startswith("x-forwarded-")


def forwarded(origin: str) -> dict[str, str]:
    """What an app is told about the origin at which its visitor's browser is, such as https://p7860--ann.lab.example.org.

    Proxies in front append to `X-Forwarded-Proto`, and frameworks disagree about which entry counts.
    """
    scheme, _, host = origin.partition("://")
    port = host.rpartition(":")[2]
    known = port if port.isdigit() else {"https": "443"}.get(scheme, "80")
    return {"X-Forwarded-Proto": scheme, "X-Forwarded-Host": host, "X-Forwarded-Port": known}


def request_head(
    method: str, path: str, headers: HTTPHeaders, *, origin: str, without: Sequence[str], is_upgrade: bool
) -> bytes:
    """The request for the app. `origin`: the app's; `without`: names of cookies that are not sent."""
    sent = HTTPHeaders()
    for name, value in headers.get_all():
        if not is_of_proxies(name):
            sent.add(name, value)
    lines = [f"{method} {path} HTTP/1.1", *_kept(sent, NOT_SENT, is_upgrade=is_upgrade)]
    lines += [f"{name}: {value}" for name, value in forwarded(origin).items()]
    cookies = [one for one in _cookies(headers) if is_the_apps(one, without)]
    if cookies:
        lines.append(f"Cookie: {'; '.join(cookies)}")
    return _joined(lines)


def answer_head(head: bytes, *, without: Sequence[str]) -> bytes:
    """The app's answer for the browser. `without`: names of cookies that it may not set.

    Raises `ValueError` or `HTTPInputError` where it is no HTTP.
    """
    first, _, rest = head.decode("latin-1").partition("\r\n")
    headers = HTTPHeaders.parse(rest)
    lines = [first, *_kept(headers, NOT_ANSWERED, is_upgrade=is_switch(head))]
    cookies = [one for one in headers.get_list("Set-Cookie") if _name(one) not in without]
    lines += [f"Set-Cookie: {DOMAIN.sub('', one)}" for one in cookies]
    lines += ["Content-Security-Policy: frame-ancestors 'self'", "X-Robots-Tag: noindex"]
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
    name = _name(cookie)
    return name not in without and not PREFIX.sub("", name, count=1).lower().startswith(OF_PLATFORM)


def _cookies(headers: HTTPHeaders) -> list[str]:
    return [one.strip() for line in headers.get_list("Cookie") for one in line.split(";") if one.strip()]


def _name(cookie: str) -> str:
    return cookie.partition("=")[0].strip()


def _joined(lines: Iterable[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
