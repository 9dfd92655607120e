"""Allowances in words: titles of classes, amounts of time, reasons of ends and refunds, sources of grants."""

from __future__ import annotations

from collections.abc import Mapping

from babel.units import format_unit

from spawner.catalog import Catalog
from spawner.desk.durations import LOCALES, SPACELESS
from spawner.desk.i18n import Translations
from spawner.ledger import EndReason
from spawner.ledger.pool.end_texts import END_TEXTS
from spawner.ledger.time.rows import GrantSource

ENDS: Mapping[EndReason, str] = {reason: text.own or text.short for reason, text in END_TEXTS.items()}
"""For the user's own lists."""
SOURCES: Mapping[GrantSource, str] = {
    GrantSource.POLICY: "Weekly hours",
    GrantSource.FLOAT: "Share of last week's unused hours",
    GrantSource.REFUND: "Refund",
    GrantSource.ADMIN: "From an administrator",
    GrantSource.GRACE: "Used in advance, to finish a running cell",
}
UNLIMITED = "No weekly limit"
GIVEN_BACK = "Given back by the platform"
TEXTS = (*ENDS.values(), *SOURCES.values(), UNLIMITED, GIVEN_BACK)


def end_in_short(reason: EndReason, texts: Translations) -> str:
    """Why a run ended, in a few words."""
    return texts.say(ENDS[reason])


def refund_in_short(reason: str | None, texts: Translations) -> str:
    """Why the platform gave something back. `reason` is what the charge says, mostly an `EndReason`."""
    return texts.say(ENDS[EndReason(reason)] if reason in set(EndReason) else GIVEN_BACK)


def class_title(catalog: Catalog, class_id: str, language: str) -> str:
    """The title of a class of allowances; its id where the catalog does not have it any more."""
    found = catalog.allowances.find(class_id)
    return class_id if found is None else found.title.in_language(language)


def amount(seconds: int, language: str) -> str:
    """An amount of an allowance: hours and minutes, below a minute seconds; negative with a minus sign."""
    rest, sign = abs(seconds), "\u2212" if seconds < 0 else ""
    hours, minutes = divmod(round(rest / 60), 60)
    parts = [(hours, "duration-hour"), (minutes, "duration-minute")] if rest >= 60 else [(rest, "duration-second")]
    units = [
        format_unit(n, unit, "short", locale=LOCALES[language]) for n, unit in parts if n or unit.endswith("second")
    ]
    return SPACELESS.sub("\\1\u00a0", sign + " ".join(units).replace(" ", "\u00a0"))
