"""Translations. English texts are in the code; Simplified Chinese is in `translations/` (gettext)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from babel import negotiate_locale
from babel.messages.pofile import read_po

LANGUAGES = ("en", "zh-CN")
TRANSLATIONS = Path(__file__).parent / "translations"


@dataclass(frozen=True)
class Translations:
    """Texts in one language. `language` is one of `LANGUAGES`, a BCP 47 tag."""

    language: str
    translations: Mapping[str, str]

    def say(self, message: str, **params: object) -> str:
        """`message` in this language, with its `{placeholders}` filled."""
        template = self.translations.get(message) or message
        return template.format(**params) if params else template

    @property
    def comma(self) -> str:
        """What stands between the parts of a list."""
        return "、" if self.language == "zh-CN" else ", "

    def together(self, *sentences: str) -> str:
        """Sentences joined to one paragraph, without the empty ones."""
        return ("" if self.language == "zh-CN" else " ").join(sentence for sentence in sentences if sentence)


def load_translations() -> dict[str, Translations]:
    """By language."""
    with (TRANSLATIONS / "zh_CN" / "LC_MESSAGES" / "messages.po").open("rb") as stream:
        chinese = read_po(stream, locale="zh_CN")
    entries = {str(message.id): str(message.string) for message in chinese if message.id and message.string}
    return {"en": Translations("en", {}), "zh-CN": Translations("zh-CN", entries)}


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
