"""Texts about kept files, by the codes that rows have."""

from __future__ import annotations

import json
from typing import Any

from spawner.desk.i18n import Translations
from spawner.ledger.bundles.rows import Bundle, BundleState

MAKING = "Your files are being saved."
FAILED: dict[str, str] = {
    "timed_out": "No files were kept: saving them took too long.",
    "unreachable": "No files were kept: the notebook could not be reached.",
    "gone": "No files were kept: the notebook ended while its files were being saved.",
    "refused": "No files were kept: the notebook did not send them.",
    "too_large": "No files were kept: each changed file is larger than the limit.",
    "disk_full": "No files were kept: the platform's disk is full.",
    "store": "No files were kept: the platform could not store them.",
}
UNKNOWN = "No files were kept."
LEFT_OUT = "Not kept, because of the limit: {names}."
LEFT_OUT_MORE = "Not kept, because of the limit: {names}, and {count} more."
SHOWN_NAMES = 5
NOT_OFFERED = "This platform does not keep files."
DAMAGED = "The kept files cannot be read."
TRY_AGAIN = "Try again in a few minutes. If it fails again, contact the administrator."
TEXTS = (MAKING, *FAILED.values(), UNKNOWN, LEFT_OUT, LEFT_OUT_MORE, NOT_OFFERED, DAMAGED, TRY_AGAIN)


def bundle_text(bundle: Bundle, texts: Translations) -> str:
    """What the user should know about a bundle, beside its numbers; may be empty."""
    detail = _detail(bundle)
    if bundle.state is BundleState.MAKING:
        return texts.say(MAKING)
    if bundle.state is BundleState.FAILED:
        return texts.say(FAILED.get(str(detail.get("code")), UNKNOWN))
    names = [str(name) for name in detail.get("names", [])][:SHOWN_NAMES]
    if not names:
        return ""
    more = int(detail.get("count", 0)) - len(names)
    named = ", ".join(names)
    return texts.say(LEFT_OUT_MORE, names=named, count=more) if more > 0 else texts.say(LEFT_OUT, names=named)


def file_size(size: int) -> str:
    """A size of files, which may be small. Units are 1024 times the one before, as on the home page."""
    value, units = float(size), ["B", "KB", "MB", "GB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.1f}".removesuffix(".0") + f"\u00a0{units[0]}"


def _detail(bundle: Bundle) -> dict[str, Any]:
    try:
        found = json.loads(bundle.detail or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
