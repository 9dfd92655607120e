"""Durations in words, "4 hours", "1 hour 30 minutes"; sizes, "2 GB"."""

from __future__ import annotations

import re
from datetime import timedelta

from babel.units import format_unit

LOCALES = {"en": "en", "zh-CN": "zh_Hans_CN"}
SPACELESS = re.compile(r"(\d)(?=[\u4e00-\u9fff])")
"""Babel's formats have no space between a digit and a Chinese unit; the texts of the pages have one."""


def in_words(length: timedelta, language: str) -> str:
    """Hours and minutes of `length`, rounded to the nearest minute."""
    hours, minutes = divmod(round(length.total_seconds() / 60), 60)
    parts = ((hours, "duration-hour"), (minutes, "duration-minute"))
    units = [format_unit(n, unit, "long", locale=LOCALES[language]) for n, unit in parts if n]
    return SPACELESS.sub("\\1\u00a0", " ".join(units))


def size(count: int, language: str) -> str:
    """Bytes, as GB from 1 GiB on and as MB below."""
    unit, amount = ("gigabyte", count / 2**30) if count >= 2**30 else ("megabyte", count / 2**20)
    return format_unit(round(amount, 1), f"digital-{unit}", "short", locale=LOCALES[language])
