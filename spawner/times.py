"""Times as text, for terminals, logs and pages without a script."""

from __future__ import annotations

from datetime import datetime


def utc_text(time: datetime) -> str:
    """A time in UTC to the minute: `2026-11-23 09:12 UTC`."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
