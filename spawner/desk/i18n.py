"""The desk's texts."""

from __future__ import annotations

from pathlib import Path

from spawner.i18n import (
    LANGUAGE_COOKIE,
    LANGUAGES,
    Plural,
    Translations,
    choose_language,
    read_translations,
    set_language_cookie,
)

__all__ = [
    "LANGUAGES",
    "LANGUAGE_COOKIE",
    "TRANSLATIONS",
    "Plural",
    "Translations",
    "choose_language",
    "load_translations",
    "set_language_cookie",
]

TRANSLATIONS = Path(__file__).parent / "translations"


def load_translations() -> dict[str, Translations]:
    """By language."""
    return read_translations(TRANSLATIONS)
