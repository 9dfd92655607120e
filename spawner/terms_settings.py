"""The section `terms` of the settings: the texts of terms and privacy, and whether users must accept them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

LONGEST = 100_000
"""Characters of one text."""


class TermsText(BaseModel):
    """One text in two languages. Without `zh`, readers of Chinese get the English one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str = Field(min_length=1, max_length=LONGEST, description="The English text.")
    zh: str = Field(default="", max_length=LONGEST, description="The Chinese text.")

    def in_language(self, language: str) -> str:
        """The text in a language (a BCP 47 tag)."""
        return (self.zh if language.startswith("zh") else "") or self.en


class TermsSettings(BaseModel):
    """A text is paragraphs, which blank lines separate; `## ` begins a heading, and `- ` an item of a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms: TermsText | None = Field(
        default=None, description="The terms. Default: what this software does with a notebook and its files."
    )
    privacy: TermsText | None = Field(
        default=None, description="What is stored. Default: what this software stores, by these settings."
    )
    version: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9._-]{1,64}$",
        description="Name of the present texts. Who accepted another one is asked again. Default: a hash of the texts, "
        "so that each change asks again.",
    )
    accept: bool | None = Field(
        default=None,
        description="Whether users must accept before they start notebooks. Default: with a login provider, not with "
        "login links.",
    )
