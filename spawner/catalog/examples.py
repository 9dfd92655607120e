"""Examples, and what they need."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Self

from pydantic import Field, field_validator, model_validator

from spawner.catalog.parts import Identifier, Part, Size, Text


class Needs(Part):
    """What an example needs: bytes of memory, and seconds to run on one core. `freepool examples measure` finds out."""

    memory: Size
    seconds: int = Field(ge=1)
    disk: Size | None = Field(default=None, description="Of files that it makes. Downloads of models come on top.")
    accelerator_memory: Size | None = Field(
        default=None, description="Memory of one accelerator. Unset: it needs none."
    )


class Example(Part):
    """A notebook that ships with the images. `path_zh`: the same in Chinese; without it, `path` is for all readers."""

    id: Identifier
    image: Identifier
    path: str
    path_zh: str | None = None
    title: Text
    summary: Text
    needs: Needs
    models: tuple[Identifier, ...] = Field(
        default=(), description="Models that it loads. Where one is not in the cache, its download is announced."
    )

    @field_validator("path", "path_zh")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        if value is None:
            return None
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or path.suffix != ".ipynb":
            raise ValueError("must be a relative path to an .ipynb file inside the examples folder")
        return value

    @model_validator(mode="after")
    def _share_a_folder(self) -> Self:
        if self.path_zh is not None and PurePosixPath(self.path_zh).parent != PurePosixPath(self.path).parent:
            raise ValueError("path_zh must be in the folder of path: both read the same data")
        return self

    def path_in(self, language: str) -> str:
        """The notebook file for readers of a language, a BCP 47 tag such as `zh-CN`, below the examples folder."""
        is_chinese = language.lower().partition("-")[0] == "zh"
        return self.path_zh if is_chinese and self.path_zh else self.path
