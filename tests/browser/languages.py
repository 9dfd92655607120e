"""In which languages a story is walked in the browser."""

from __future__ import annotations

import os

import pytest

LANGUAGES = ("en", "zh-CN")
VARIABLE = "FREEPOOL_LANGUAGES"
"""`all` has every story walked in both."""


def told_in(language: str, argument: str = "language", *, english: str = "en") -> pytest.MarkDecorator:
    """Walks a story in one language, half of them in each.

    The texts are compared by tests/unit/test_translations.py; what they need of room is seen in both languages by
    test_states.py and test_looks.py. Before a release every story is walked in both (docs/develop.md).
    `english`: how the test names that language.
    """
    named = {"en": english, "zh-CN": "zh-CN"}
    chosen = LANGUAGES if os.environ.get(VARIABLE) == "all" else (language,)
    return pytest.mark.parametrize(argument, [named[one] for one in chosen])
