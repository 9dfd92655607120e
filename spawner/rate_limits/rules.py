"""Which requests count as a login, as a start, or as any other. Proxy, hub and desk read the same table.

The expressions mean the same to Python and to JavaScript. They are matched with paths as hub and desk are sent them,
after the proxy has taken out `..` and the like: an encoded or doubled slash leads to no page of hub or desk, so such a
path is any other request. `/user/…` that comes here is no notebook's traffic: that goes from the proxy to the notebook.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a request counts as."""

    LOGIN = "login"
    START = "start"
    API = "api"


@dataclass(frozen=True)
class Rule:
    """`kind` is None for what is not counted; no `methods` are all."""

    kind: Kind | None
    pattern: str
    methods: tuple[str, ...] = ()


RULES = (
    Rule(None, r"^/(hub|services/desk)/(static/|health$)"),
    Rule(None, r"^/(hub/logo|_chp_healthz)$"),
    Rule(None, r"^/services/desk/icons/"),
    Rule(Kind.LOGIN, r"^/hub/(link|oauth_login|oauth_callback)$"),
    Rule(Kind.LOGIN, r"^/hub/(login|signup)$", ("POST",)),
    Rule(Kind.START, r"^/hub/spawn(/|$)"),  # JupyterHub starts by GET, too
    Rule(Kind.START, r"^/hub/api/users/[^/]+/servers?(/[^/]*)?$", ("POST",)),
    Rule(Kind.START, r"^/services/desk/open(/look)?$", ("POST",)),
    Rule(Kind.START, r"^/services/desk/api/(instance|instance/restart|ticket|ticket/take)$", ("POST",)),
)
"""The first that matches counts; without one it is `Kind.API`."""
FAILED = frozenset({400, 401, 403})
"""Statuses of refused logins. A provider that is away (503) is not the client's fault."""

_COMPILED = [(rule, re.compile(rule.pattern)) for rule in RULES]


def kind_of(method: str, path: str) -> Kind | None:
    """What a request counts as; None for nothing."""
    for rule, pattern in _COMPILED:
        if (not rule.methods or method in rule.methods) and pattern.search(path):
            return rule.kind
    return Kind.API
