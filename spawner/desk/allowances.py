"""Allowances in words: titles of classes, amounts of time, reasons of ends and refunds, sources of grants."""

from __future__ import annotations

from collections.abc import Mapping

from babel.units import format_unit

from spawner.catalog import Catalog
from spawner.desk.durations import LOCALES, SPACELESS
from spawner.desk.i18n import Translations
from spawner.ledger import EndReason
from spawner.ledger.time.rows import GrantSource
from spawner.pool.progress import END_TEXTS

ENDS: Mapping[str, str] = {
    "stopped": "Stopped by you",
    "cancelled": "Start cancelled",
    "deadline": "Time limit reached",
    "crashed": "Exited on its own",
    "out_of_memory": "Out of memory",
    "out_of_disk": "Out of disk space",
    "evicted": "Its server ran out of resources",
    "no_room": "No capacity",
    "no_image": "Its image could not be downloaded",
    "start_failed": "Could not be started",
    "lost": "A problem on our side",
    "superseded": "Replaced by a new notebook",
    "shutdown": "The platform was shut down",
    "orphaned": "Stopped by the platform",
    "not_collected": "Not opened in time",
    "maintenance": "Stopped for maintenance",
    "banned": "Account banned",
    "guard": "Stopped by a rule of this platform",
    "surplus": "Stopped by the platform",
    "idle": "Stopped because it was not in use",
    "shut_down": "Shut down from JupyterLab",
}
"""Short forms of `END_TEXTS`, for lists. By the value of an `EndReason`, also of some that not every version has."""
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
    return texts.say(ENDS.get(reason.value) or END_TEXTS[reason])


def refund_in_short(reason: str | None, texts: Translations) -> str:
    """Why the platform gave something back. `reason` is what the charge says, mostly an `EndReason`."""
    return texts.say(ENDS.get(reason or "", GIVEN_BACK))


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
