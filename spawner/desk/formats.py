"""Numbers and times in one language and the reader's time zone, for pages that the desk renders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from babel.dates import format_date
from babel.numbers import format_decimal
from babel.units import format_unit

from spawner.desk.durations import SPACELESS
from spawner.desk.zones import time_text

GIB = 1024**3


@dataclass(frozen=True)
class Formats:
    """Formats of numbers and times in one language. `locale` is Babel's name of it; `zone` is the reader's."""

    locale: str
    zone: tzinfo = UTC

    def time(self, at: datetime) -> str:
        """Date and time. In UTC where the reader's zone is not known; the page's script then replaces it."""
        return time_text(at, self.zone, self.locale)

    def day(self, at: datetime) -> str:
        """The date."""
        return format_date(at.astimezone(self.zone).date(), "medium", locale=self.locale)

    def size(self, size: int) -> str:
        """`size` is in bytes. In GiB, by which the cloud bills; pages of free notebooks say GB."""
        return f"{format_decimal(size / GIB, '#,##0.#', locale=self.locale)} GiB"

    def span(self, seconds: float) -> str:
        """Hours and minutes, rounded down; seconds below a minute, beside which a cost would look wrong."""
        if 0 < int(seconds) < 60:
            text = format_unit(int(seconds), "duration-second", "short", locale=self.locale)
            return SPACELESS.sub("\\1\u00a0", text)
        minutes = max(0, int(seconds)) // 60
        parts = ((minutes // 60, "duration-hour"), (minutes % 60, "duration-minute"))
        units = [format_unit(n, unit, "short", locale=self.locale) for n, unit in parts if n]
        text = " ".join(units) or format_unit(0, "duration-minute", "short", locale=self.locale)
        return SPACELESS.sub("\\1\u00a0", text)
