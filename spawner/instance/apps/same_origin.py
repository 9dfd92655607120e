"""Whether a request to an app comes from the app's own pages. Pure.

An app on loopback was often written for one user alone, without a defence against other pages in the same browser. On
the platform its neighbours are other users' pages, which a browser counts as the same site.
"""

from __future__ import annotations

from collections.abc import Mapping

READS = ("GET", "HEAD")


def is_navigation(headers: Mapping[str, str]) -> bool:
    """Whether a browser will show the answer as a page of its own."""
    return headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest", "document") == "document"


def is_websocket(headers: Mapping[str, str]) -> bool:
    """Whether it asks for a websocket."""
    return headers.get("Upgrade", "").lower() == "websocket"


def may_pass(method: str, headers: Mapping[str, str], origin: str) -> bool:
    """Whether a request may be passed on to the app whose origin is `origin`.

    Pages of other origins may lead to an app, and do nothing else with it. Without the headers that browsers send to
    https and to localhost, only `Origin` says who asks.
    """
    sent = headers.get("Origin")
    if is_websocket(headers):
        return sent == origin
    if method not in READS and sent is not None and sent != origin:
        return False
    site = headers.get("Sec-Fetch-Site")
    if site in (None, "same-origin", "none"):
        return True
    return method in READS and is_navigation(headers)
