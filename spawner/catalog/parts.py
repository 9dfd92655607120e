"""What every part of a catalog is made of. Its modules import this one, and `model.py` imports them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
WHOLE_SIZE = r"^\s*\d*\.?\d+\s*[A-Za-z]*\s*$"


def _be_whole(size: object) -> object:
    """pydantic reads as much as it understands: 1,5GiB as one byte."""
    if isinstance(size, str) and not re.fullmatch(WHOLE_SIZE, size):
        raise PydanticCustomError("byte_size", "is not a valid size")
    return size


Size = Annotated[
    ByteSize,
    BeforeValidator(_be_whole),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": WHOLE_SIZE}, {"type": "integer", "minimum": 0}]}),
]
"""A number of bytes, as 512MiB, 1.5GB or 1000000."""
LONGEST_ECHO = 40
"""Characters of a rejected value that are shown again to the person who sent it."""


class Part(BaseModel):
    """Base of every part of the catalog: immutable, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="utf8")


class Text(Part):
    """A text for people in the two languages of the desk."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)

    def in_language(self, language: str) -> str:
        """The text for a BCP 47 tag such as `zh-CN`; English where the language is not ours."""
        return self.zh if language.lower().partition("-")[0] == "zh" else self.en


def echo(value: object) -> str:
    """A rejected value, made safe and short enough to be said again."""
    try:
        shown = ascii(value)
    except RecursionError:
        shown = "(nested too deeply)"
    return shown if len(shown) <= LONGEST_ECHO else shown[:LONGEST_ECHO] + "…"
