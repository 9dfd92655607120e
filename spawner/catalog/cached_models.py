"""Models of the platform's cache: what `freepool models pull` fetches, and what examples need."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, field_validator, model_validator

from spawner.catalog.parts import Identifier, Part, Size


class Source(StrEnum):
    """A hub of models, and the library that looks for its models in a cache."""

    MODELSCOPE = "modelscope"
    HUGGINGFACE = "huggingface"


DEFAULT_REVISIONS = {Source.MODELSCOPE: "master", Source.HUGGINGFACE: "main"}
"""The branch that a library asks for where its user names none."""


class Model(Part):
    """One model of a hub."""

    id: Identifier
    source: Source
    repository: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$",
        description="OWNER/NAME, as the hub writes it.",
    )
    revision: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$",
        description="Branch, tag or commit. Default: the hub's main branch.",
    )
    files: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Patterns of the files that are needed, such as '*.safetensors'."
    )
    size: Size = Field(gt=0, description="Of these files together: users read it before they download.")
    licence: str = Field(min_length=1, max_length=100, description="Such as Apache-2.0.")
    seconds: int | None = Field(
        default=None, ge=1, description="How long a download took. Default: as fast as this platform's own downloads."
    )
    also_for: tuple[Source, ...] = Field(
        default=(),
        description="Libraries of the other hub that find it under the same OWNER/NAME. Only where both hubs have the "
        "same model there.",
    )

    @field_validator("files")
    @classmethod
    def _are_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not pattern or pattern.startswith("/") or ".." in pattern.split("/") for pattern in value):
            raise ValueError("must be patterns of paths inside the repository")
        return value

    @model_validator(mode="after")
    def _is_for_another(self) -> Model:
        if self.source in self.also_for:
            raise ValueError(f"also_for names its own source, {self.source}: leave it out")
        return self

    @property
    def wanted_revision(self) -> str:
        """The revision to ask the hub for."""
        return self.revision or DEFAULT_REVISIONS[self.source]

    @property
    def libraries(self) -> tuple[Source, ...]:
        """Whose caches show it."""
        return (self.source, *dict.fromkeys(self.also_for))
