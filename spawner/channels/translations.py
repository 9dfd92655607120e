"""The texts of messages in other languages than English (gettext, in `translations/`)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from spawner.i18n import Translations, read_translations

FOLDER = Path(__file__).parent / "translations"


@cache
def translations(language: str) -> Translations:
    """Those of a language; English for one that is not ours."""
    known = read_translations(FOLDER)
    return known.get(language, known["en"])


def say(language: str, text: str, **params: object) -> str:
    """`text` in a language, with its `{placeholders}` filled."""
    return translations(language).say(text, **params)
