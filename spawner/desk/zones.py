"""The time zone of a page's reader. `static/shared/zone.js` puts its name into a cookie."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time, get_datetime_format

ZONE_COOKIE = "freepool-zone"
LONGEST_NAME = 64
CLOCK = "HH:mm"
"""How every page writes a time of day, in both languages."""


def zone_named(name: str | None) -> tzinfo:
    """The time zone of an IANA name; UTC for a name that this machine does not know."""
    if not name or len(name) > LONGEST_NAME:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no relative path, a folder of zones
        return UTC


def time_text(at: datetime, zone: tzinfo, locale: str) -> str:
    """Date and time in a zone. `locale` is Babel's name of the language. UTC is named, as no reader expects it."""
    there = at.astimezone(zone)
    day, time = format_date(there, "medium", locale=locale), format_time(there, CLOCK, locale=locale)
    text = str(get_datetime_format("medium", locale=locale)).replace("{0}", time).replace("{1}", day)
    return f"{text} UTC" if zone is UTC else text
