"""The texts of messages in other languages than English (gettext, in `translations/`)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent / "translations"
CHINESE = "zh-CN"


@cache
def translations(language: str) -> Mapping[str, str]:
    """By English text; empty for English."""
    if language != CHINESE:
        return {}
    with (FOLDER / "zh_CN" / "LC_MESSAGES" / "messages.po").open("rb") as stream:
        return {str(one.id): str(one.string) for one in read_po(stream, locale="zh_CN") if one.id and one.string}


def say(language: str, text: str, **params: object) -> str:
    """`text` in a language, with its `{placeholders}` filled."""
    return (translations(language).get(text) or text).format(**params)
