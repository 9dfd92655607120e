"""What "Report a problem" shows on a page of the desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spawner import __version__
from spawner.pool.build import utc_now
from spawner.reports import report_link, report_text
from spawner.request_ids import id_of


@dataclass(frozen=True)
class ReportView:
    """`link` is empty where the administrator has set none. `assets` is the URL of style sheet and script."""

    text: str
    link: str
    assets: str
    is_open: bool = False


def make_report(handler: Any, what: str, *, path: str = "", assets: str = "", is_open: bool = False) -> ReportView:
    """Of this request, or of the one for `path` that the proxy could not pass on. `what` is in the user's language."""
    request = handler.request
    text = report_text(
        what=what,
        path=path or request.path,
        request_id=id_of(handler),
        version=__version__,
        browser=request.headers.get("User-Agent", ""),
        now=utc_now(),
    )
    link = report_link(handler.desk.settings.report_to, text)
    return ReportView(text, link, assets or f"{handler.desk.base}static/shared/", is_open)
