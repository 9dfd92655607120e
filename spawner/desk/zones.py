"""The time zone of a page's reader. `static/shared/zone.js` puts its name into a cookie."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

ZONE_COOKIE = "freepool-zone"
LONGEST_NAME = 64


def zone_named(name: str | None) -> tzinfo:
    """The time zone of an IANA name; UTC for a name that this machine does not know."""
    if not name or len(name) > LONGEST_NAME:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no relative path, a folder of zones
        return UTC
