"""Policies, and whom they are for. `policies.py` computes what a person may use."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from spawner.catalog.allowances import Hours
from spawner.catalog.parts import Identifier, Part, echo
from spawner.catalog.sessions import LONGEST_SESSION_MINUTES

EVERYBODY = "everybody"
LONGEST_GROUP = 255
"""Characters of a group's name in JupyterHub's database."""


@dataclass(frozen=True)
class Membership:
    """What policies look at: all groups of a person, from every source."""

    groups: frozenset[str] = frozenset()


class Audience(Part):
    """Whom a policy is for."""

    everybody: bool = Field(default=False, description="All users. In short: `for: everybody`.")
    groups: tuple[str, ...] = Field(default=(), description="The members of each of these groups.")

    @field_validator("groups", mode="before")
    @classmethod
    def _are_names(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("must be a list, such as [staff]")
        if not isinstance(value, list | tuple):
            return value
        for name in value:
            if isinstance(name, int | float):
                raise ValueError(f"{echo(name)} is a number: put it in quotes")
            if isinstance(name, str) and not (0 < len(name.strip()) <= LONGEST_GROUP and name.isprintable()):
                raise ValueError(f"{echo(name)} is not a valid group name")
        return [unicodedata.normalize("NFC", name).strip() if isinstance(name, str) else name for name in value]

    @model_validator(mode="after")
    def _names_somebody(self) -> Audience:
        if self.everybody == bool(self.groups):
            raise ValueError("must name either groups or everybody")
        return self

    def includes(self, membership: Membership) -> bool:
        """Whether the policy is for this person."""
        return self.everybody or not membership.groups.isdisjoint(self.groups)


class Policy(Part):
    """What some users may have. A user has what all policies for them give together."""

    audience: Audience = Field(alias="for", description="everybody, or such as {groups: [staff]}.")
    flavors: tuple[Identifier, ...] | None = Field(
        default=None,
        min_length=1,
        description="Flavors that they may start. Where one policy has this key, each flavor must be in one of them.",
    )
    images: tuple[Identifier, ...] | None = Field(
        default=None,
        min_length=1,
        description="Images that they may start. Where one policy has this key, each image must be in one of them.",
    )
    queue_weight: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Their use counts less in the queue (2: half) or more (0.5: double). For this policy's flavors, or "
        "for all where it names none.",
    )
    session_minutes: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST_SESSION_MINUTES,
        description="The longest session, in place of the flavor's. For this policy's flavors, or for all where it "
        "names none.",
    )
    allowances: dict[Identifier, Hours] | None = Field(
        default=None,
        min_length=1,
        description="Hours a week by class, or unlimited, in place of the class's own.",
    )

    @field_validator("audience", mode="before", json_schema_input_type=Literal["everybody"] | Audience)
    @classmethod
    def _in_short(cls, value: Any) -> Any:
        if isinstance(value, str) and value != EVERYBODY:
            raise ValueError("must be everybody, or such as {groups: [staff]}")
        return {"everybody": True} if value == EVERYBODY else value

    @model_validator(mode="after")
    def _gives_something(self) -> Policy:
        if all(getattr(self, name) is None for name in type(self).model_fields if name != "audience"):
            raise ValueError("gives nothing: add flavors, images, queue_weight, session_minutes or allowances")
        return self

    def covers(self, flavor_id: str) -> bool:
        """Whether its weight and session length are for this flavor."""
        return self.flavors is None or flavor_id in self.flavors
