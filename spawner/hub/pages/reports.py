"""The id of each request to the hub, and what "Report a problem" shows on its error pages."""

from __future__ import annotations

from functools import wraps
from typing import Any, NamedTuple

from jupyterhub.handlers.base import BaseHandler

from spawner import __version__
from spawner.pool.build import utc_now
from spawner.reports import report_address, report_link, report_text
from spawner.request_ids import id_of, set_request_id


class Report(NamedTuple):
    """`link` and `address` are empty where the administrator has set none."""

    text: str
    link: str
    address: str = ""


def note_request_ids() -> None:
    """Give each response the header X-Request-ID. JupyterHub has no setting for headers that differ by request."""
    set_headers = getattr(BaseHandler.set_default_headers, "without_ids", BaseHandler.set_default_headers)

    @wraps(set_headers)
    def with_id(handler: Any) -> None:
        set_headers(handler)
        set_request_id(handler)

    with_id.without_ids = set_headers  # type: ignore[attr-defined]
    BaseHandler.set_default_headers = with_id


def report_of(handler: Any, report_to: str | None, language: str, what: str) -> Report:
    """Of this request. `what` is in the user's `language`."""
    request = handler.request
    text = report_text(
        what=what,
        path=request.path,
        request_id=id_of(handler),
        version=__version__,
        browser=request.headers.get("User-Agent", ""),
        now=utc_now(),
        language=language,
    )
    return Report(text, report_link(report_to, text), report_address(report_to))
