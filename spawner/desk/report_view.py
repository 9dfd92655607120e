"""What "Report a problem" shows on a page of the desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spawner import __version__
from spawner.pool.build import utc_now
from spawner.reports import report_address, report_link, report_text
from spawner.request_ids import id_of


@dataclass(frozen=True)
class ReportView:
    """`link` and `address` are empty where the administrator has set none: the text's address, and the same with a
    place for the text. `assets` is the URL of style sheet and script. `is_open`: the page is about nothing else.
    """

    text: str
    link: str
    assets: str
    is_open: bool = False
    address: str = ""


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
        language=handler.language_texts.language,
    )
    report_to = handler.desk.settings.report_to
    return ReportView(
        text,
        report_link(report_to, text),
        assets or f"{handler.desk.base}static/shared/",
        is_open,
        address=report_address(report_to),
    )
