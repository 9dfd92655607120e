"""Which browser origins the pages have: the desk's and the hub's, and those of the users' notebooks.

Code in a notebook's page can do in its own origin what the visitor can do there. So each user's notebooks have an
origin of their own, `NAME.HOST`, wherever the setup allows it. Where it does not, they share the desk's.
"""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

COOP = "Cross-Origin-Opener-Policy"
ALONE = "noopener-allow-popups"
"""A page that opens this one gets no reference to its window, not even a page of the same origin."""
SIGNED_IN_COOKIE = "freepool-signed-in"
"""The hub sets it at a login, for the desk. It proves nothing."""
LOCALHOST = "localhost"
"""Browsers resolve this name and all names below it to loopback, and treat plain http there as secure."""


PLAIN = re.compile(r"[!-\[\]-~]+")


def is_plain(address: str) -> bool:
    """Whether an address to go to has printable ASCII only, without the backslash, which browsers read as a slash."""
    return PLAIN.fullmatch(address) is not None


class NotebookHosts(StrEnum):
    """The setting `notebook_hosts`."""

    AUTO = "auto"
    SUBDOMAINS = "subdomains"
    SHARED = "shared"


def is_localhost(host: str) -> bool:
    """Whether browsers resolve this name to loopback without DNS."""
    return host == LOCALHOST or host.endswith(f".{LOCALHOST}")


def default_public(address: str, port: int, hosts: NotebookHosts) -> str:
    """The base URL that browsers use where none is set. The name `localhost` can have subdomains, 127.0.0.1 cannot."""
    is_loopback = address in ("127.0.0.1", "::1", LOCALHOST)
    host = LOCALHOST if is_loopback and hosts is not NotebookHosts.SHARED else host_in_url(address)
    return f"http://{host}/" if port == 80 else f"http://{host}:{port}/"  # as browsers write it


def host_in_url(host: str) -> str:
    """A host name or an address as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def choose_subdomain_host(public: str, hosts: NotebookHosts) -> str | None:
    """The host below which each user's notebooks get one, with scheme and port; None where they share the desk's.

    `auto` chooses subdomains where they can be had: below `localhost`, and below a name that is served over https.
    Raises `ValueError` where subdomains are asked for and cannot be had.
    """
    url = urlsplit(public)
    why_not = _why_no_subdomains(public)
    if hosts is NotebookHosts.SHARED or (hosts is NotebookHosts.AUTO and why_not):
        return None
    if why_not:
        raise ValueError(f"notebook_hosts: {why_not} (or set notebook_hosts: shared)")
    return f"{url.scheme}://{url.netloc}"


def _why_no_subdomains(public: str) -> str:
    """Empty where users' notebooks can have hosts below the one of this URL."""
    url = urlsplit(public)
    host = url.hostname or ""
    if _is_address(host):
        return f"{host} is an IP address, which has no subdomains: set `public` to a name with a wildcard in DNS"
    if not is_localhost(host) and url.scheme != "https":
        return insecure_subdomains(public)
    return "a host per user needs `public` without a path" if url.path.strip("/") else ""


def insecure_subdomains(host: str) -> str:
    """Why hosts below this URL's may not be used; empty where they may.

    Without TLS a cookie cannot be bound to one host: a notebook's host could set the desk's cookies.
    """
    url = urlsplit(host)
    if url.scheme == "https" or is_localhost(url.hostname or ""):
        return ""
    return (
        "a host per user needs https, without which a notebook's host can set the desk's cookies: "
        "set `public` to https://, with a wildcard in DNS and certificate"
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return not host
    return True


def startup_notice(public: str, subdomain_host: str | None, *, guards_pages: bool) -> str:
    """What the operator should know about the chosen origins; empty where there is nothing to do."""
    if subdomain_host is None:
        off = (
            ""
            if guards_pages
            else " Paid notebooks, administration in the browser, and tokens are therefore turned off."
        )
        return (
            f"WARNING: notebooks share the origin of {public}, so code in one can act for anyone who opens it.{off} "
            "Set `public` to https:// and a name with a wildcard in DNS and certificate, or to http://localhost. "
            "(Or trust what runs in all notebooks: trust_notebooks: true.)"
        )
    url = urlsplit(subdomain_host)
    if is_localhost(url.hostname or ""):
        return ""
    return (
        f"Notebooks are at {url.scheme}://NAME.{url.netloc}: DNS and certificate need *.{url.hostname} "
        "(or set notebook_hosts: shared)."
    )
