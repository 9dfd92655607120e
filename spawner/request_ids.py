"""The id of a request: in the header `X-Request-ID`, on error pages, and in the log."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from spawner import logs

HEADER = "X-Request-ID"
_VALID = re.compile(r"[0-9a-f]{16}")


def begin(headers: Mapping[str, str]) -> str:
    """The id that the proxy gave a request, else a new one. From now on this task logs it.

    Tornado makes a task for a request after its handler, so the handler's first method calls this.
    """
    given = headers.get(HEADER, "")
    found = given if _VALID.fullmatch(given) else secrets.token_hex(8)
    logs.note(request=found, person="", instance="")
    return found


def set_request_id(handler: Any) -> None:
    """Give a request its id, once, and its response the header. For Tornado's `set_default_headers`."""
    found = getattr(handler.request, "freepool_id", None)
    if found is None:
        found = handler.request.freepool_id = begin(handler.request.headers)
    handler.set_header(HEADER, found)


def id_of(handler: Any) -> str:
    """The id of a handler's request."""
    return str(getattr(handler.request, "freepool_id", ""))
