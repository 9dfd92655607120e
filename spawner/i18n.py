"""Translations. English texts are in the code; Simplified Chinese is in the folders `translations` (gettext)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from babel import negotiate_locale
from babel.messages.pofile import read_po

LANGUAGE_NAMES = {"en": "English", "zh-CN": "简体中文"}
"""What a link to a page in each language says."""
LANGUAGES = tuple(LANGUAGE_NAMES)
LANGUAGE_COOKIE = "freepool-language"
"""The language that a user has chosen on a page, for the pages of the hub and of the desk."""


class Plural(NamedTuple):
    """A text with a count in it, for one and for other numbers: gettext's msgid and msgid_plural."""

    one: str
    other: str


@dataclass(frozen=True)
class Translations:
    """Texts in one language. `language` is one of `LANGUAGES`, a BCP 47 tag. `plurals` are by their singular."""

    language: str
    translations: Mapping[str, str]
    plurals: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def say(self, message: str, **params: object) -> str:
        """`message` in this language, with its `{placeholders}` filled."""
        template = self.translations.get(message) or message
        return template.format(**params) if params else template

    def forms(self, text: Plural) -> Mapping[str, str]:
        """A text for scripts, by the category that Intl.PluralRules gives for the count."""
        return self.plurals.get(text.one) or text._asdict()

    @property
    def comma(self) -> str:
        """What stands between the parts of a list."""
        return "、" if self.language == "zh-CN" else ", "

    def together(self, *sentences: str) -> str:
        """Sentences joined to one paragraph, without the empty ones."""
        return ("" if self.language == "zh-CN" else " ").join(sentence for sentence in sentences if sentence)


def read_translations(folder: Path) -> dict[str, Translations]:
    """By language. `folder` has `zh_CN/LC_MESSAGES/messages.po`."""
    with (folder / "zh_CN" / "LC_MESSAGES" / "messages.po").open("rb") as stream:
        chinese = read_po(stream, locale="zh_CN")
    found = [message for message in chinese if message.id and message.string]
    entries = {str(message.id): str(message.string) for message in found if not message.pluralizable}
    plurals = {
        message.id[0]: {"other": next(iter(message.string or ("",)))} for message in found if message.pluralizable
    }
    return {"en": Translations("en", {}), "zh-CN": Translations("zh-CN", entries, plurals)}


def set_language_cookie(handler: Any, language: str) -> None:
    """Store a chosen language in the cookie, which hub and desk both read."""
    handler.set_cookie(LANGUAGE_COOKIE, language, path="/", expires_days=365, httponly=True, samesite="Lax")


def choose_language(chosen: str | None, accept: str | None) -> str:
    """The language of the cookie, else the best of an Accept-Language header, else English."""
    if chosen in LANGUAGES:
        return chosen
    ranked: list[tuple[float, str]] = []
    for part in (accept or "")[:500].split(","):
        tag, _, quality = part.replace(" ", "").partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if tag and tag.replace("-", "").isalnum():
            ranked.append((-weight, tag))
    wanted = [tag.replace("-", "_") for _, tag in sorted(ranked, key=lambda pair: pair[0])]
    aliases = {
        "zh_Hans": "zh_CN",
        "zh_Hans_CN": "zh_CN",
        "zh": "zh_CN",
        "zh_SG": "zh_CN",
        "zh_TW": "zh_CN",
        "zh_HK": "zh_CN",
    }
    found = negotiate_locale([aliases.get(tag, tag) for tag in wanted], ["en", "zh_CN"], sep="_")
    return "zh-CN" if found and found.partition("_")[0] == "zh" else "en"
