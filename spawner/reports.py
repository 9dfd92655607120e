"""What a user sends to an administrator after something went wrong: a text to copy, and the address it goes to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

TEMPLATES = Path(__file__).parent / "templates"
"""`report.html`, which pages of hub and desk include."""
LONGEST_LINK = 1800
"""Mail programs and sites refuse longer addresses."""
MAIL = "mailto:"
PLACE = "{text}"
"""In a setting's https address: where the text is put in."""


LABELS = {
    "en": {"what": "What", "page": "Page", "time": "Time", "request": "Request", "browser": "Browser"},
    "zh-CN": {"what": "问题", "page": "页面", "time": "时间", "request": "请求编号", "browser": "浏览器"},
}
"""What stands before each fact, by language. `hub_config/proxy/away.html` has the same."""


def report_text(
    *, what: str, path: str, request_id: str, version: str, browser: str, now: datetime, language: str = "en"
) -> str:
    """The facts, one a line. `path` is without its query, which may hold a key. `what` is in the user's `language`.

    A link can choose `path`: in it are no lines that look like ours.
    """
    label = LABELS[language]
    lines = {
        label["what"]: _one_line(what),
        label["page"]: _one_line(path),
        label["time"]: now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        label["request"]: request_id,
        "Freepool": version,
        label["browser"]: _one_line(browser)[:200],
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def _one_line(text: str) -> str:
    """Without control characters and changes of direction."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def report_link(report_to: str | None, text: str) -> str:
    """The setting's address with the text in it, or with its beginning where it is long; empty without a setting."""
    if not report_to:
        return ""
    link = _link(report_to, text)
    while len(link) > LONGEST_LINK and text:
        text = text[:-20]
        link = _link(report_to, text)
    return link


def report_address(report_to: str | None) -> str:
    """The setting's address with a place for the text, which the page's script fills in."""
    if report_to and report_to.startswith(MAIL):
        return f"{report_to}?subject=Freepool&body={PLACE}"
    return report_to or ""


def _link(report_to: str, text: str) -> str:
    return report_address(report_to).replace(PLACE, quote(text, safe=""))
