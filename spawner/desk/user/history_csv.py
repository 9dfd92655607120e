"""A person's history as CSV (RFC 4180), for spreadsheets: UTF-8 with a byte order mark, lines end with CR LF.

Spreadsheets run a text that looks like a formula. Names and reasons are chosen by people, so such a text gets an
apostrophe in front, which a spreadsheet does not show.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo

from pydantic import BaseModel

from spawner.desk.user.history_view import HistoryGrant, HistoryRun

BYTE_ORDER_MARK = "\ufeff"
BEGINS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of what a spreadsheet may run, also as full-width forms, which some of them accept."""
RUN_COLUMNS = (
    "id", "user", "server", "state", "machine_type", "machine_type_title", "image", "image_title", "requested_at",
    "usable_at", "ended_at", "reason", "reason_text", "extended_seconds", "class", "weight", "charged_seconds",
    "refunded_seconds", "refund_reasons",
)  # fmt: skip
GRANT_COLUMNS = (
    "class", "class_title", "seconds", "valid_from", "valid_until", "source", "source_text", "run", "reason", "by",
    "at",
)  # fmt: skip


def run_lines(runs: Iterable[HistoryRun], zone: tzinfo) -> str:
    """Lines of `RUN_COLUMNS`, without a header."""
    return lines([_run(run) for run in runs], RUN_COLUMNS, zone)


def grant_lines(grants: Iterable[HistoryGrant], zone: tzinfo) -> str:
    """Lines of `GRANT_COLUMNS`, without a header."""
    return lines([_values(grant) for grant in grants], GRANT_COLUMNS, zone)


def header(columns: tuple[str, ...]) -> str:
    """The byte order mark and the names of the columns."""
    return BYTE_ORDER_MARK + ",".join(columns) + "\r\n"


def lines(rows: Iterable[Mapping[str, object]], columns: tuple[str, ...], zone: tzinfo) -> str:
    """One line for each row. Times are ISO 8601 to the second, with the offset of `zone`."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerows([cell(row[name], zone) for name in columns] for row in rows)
    return file.getvalue()


def cell(value: object, zone: tzinfo) -> str:
    """A value as text; empty for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="seconds")
    if not isinstance(value, str):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return f"'{value}" if value.lstrip(" ").startswith(BEGINS_FORMULA) else value


def _values(model: BaseModel) -> dict[str, object]:
    return model.model_dump(mode="python", by_alias=True)


def _run(run: HistoryRun) -> dict[str, object]:
    values = _values(run)
    use = values.pop("use") or dict.fromkeys(
        ("class", "weight", "charged_seconds", "refunded_seconds", "refund_reasons")
    )
    assert isinstance(use, dict)
    reasons = use["refund_reasons"]
    return (
        values
        | use
        | {
            "machine_type": run.flavor,
            "machine_type_title": run.flavor_title,
            "refund_reasons": "; ".join(reasons) if reasons else None,
        }
    )
