"""The section `people` of the settings: account levels, what each may have, and which new accounts are admitted."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints, model_validator

Claim = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Value = StrictBool | StrictInt | Annotated[str, StringConstraints(strict=True, max_length=255)]
MOST = 100
"""Rules of one account level, claims of one rule, and values of one claim."""


class ClassRule(BaseModel):
    """One way to an account level: all that it names must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: float | None = Field(default=None, gt=0, le=3660, description="Days since the user first came here.")
    account_days: float | None = Field(
        default=None, gt=0, le=36600, description="Days since the account was made at the login's provider."
    )
    claims: dict[Claim, Value | Annotated[tuple[Value, ...], Field(min_length=1, max_length=MOST)]] = Field(
        default={},
        max_length=MOST,
        description="Claims of the login, and the value that each must have, or a list of values of which one is "
        "enough. A claim that is a list must have it as an item. Dots lead into objects.",
    )

    @model_validator(mode="after")
    def _names_something(self) -> ClassRule:
        if self.days is None and self.account_days is None and not self.claims:
            raise ValueError("an empty rule would let everybody in: name days, account_days or claims")
        return self

    def wanted(self) -> dict[str, tuple[Value, ...]]:
        """The values of each claim of which one is enough."""
        return {name: value if isinstance(value, tuple) else (value,) for name, value in self.claims.items()}


class ClassLimits(BaseModel):
    """What users of one account level may have. The catalog's own limits hold as well: the lower one counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instances: int | None = Field(default=None, ge=1, le=100, description="Notebooks at the same time.")
    session_minutes: int | None = Field(
        default=None, ge=1, le=7 * 24 * 60, description="Minutes after which a notebook ends, whatever its flavor."
    )


class LimitsByClass(BaseModel):
    """Limits of each account level."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    new: ClassLimits = ClassLimits()
    known: ClassLimits = ClassLimits()
    trusted: ClassLimits = ClassLimits()


Rules = Annotated[tuple[ClassRule, ...], Field(max_length=MOST)]


class PeopleSettings(BaseModel):
    """Who counts as new, known or trusted, what each account level may have, and which new accounts are admitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    known: Rules = Field(default=(), description="Ways to the account level `known`. One of them is enough.")
    trusted: Rules = Field(default=(), description="Ways to the account level `trusted`. One of them is enough.")
    account_since_claim: Claim = Field(
        default="created_at",
        description="Claim with the time at which the account was made at the provider: ISO 8601, or seconds since "
        "1970. GitHub has created_at.",
    )
    limits: LimitsByClass = Field(default=LimitsByClass(), description="What each account level may have.")
    invitation_only: bool = Field(
        default=False, description="Whether an account that is new here needs an invitation (`freepool invite`)."
    )
    new_per_day: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="New accounts that are admitted on one day (UTC) without invitation.",
    )
    new_per_network_per_day: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="The same from one network: a /24 of IPv4, a /56 of IPv6. Set trusted_proxies where a proxy is in "
        "front.",
    )

    @model_validator(mode="after")
    def _does_something(self) -> PeopleSettings:
        if self.invitation_only and (self.new_per_day or self.new_per_network_per_day):
            raise ValueError(
                "new_per_day and new_per_network_per_day do nothing with invitation_only: an invitation passes them"
            )
        if self.new_per_day and self.new_per_network_per_day and self.new_per_network_per_day > self.new_per_day:
            raise ValueError(
                "new_per_network_per_day is above new_per_day, so it does nothing: lower it or leave it out"
            )
        return self

    @property
    def limits_new_accounts(self) -> bool:
        """Whether some new accounts are refused."""
        return self.invitation_only or self.new_per_day is not None or self.new_per_network_per_day is not None

    @property
    def shows_classes(self) -> bool:
        """Whether users are told their account level: where a rule or a limit makes a difference."""
        return bool(self.known or self.trusted) or self.limits != LimitsByClass()
