"""The section `rate_limits` of the settings: how often an address and a person may log in, start and ask.

`rate_limits/limiter.py` (hub, desk) and `rate_limits/proxy.py` (for the proxy) read the fields by composed names: a
kind of `rate_limits/rules.py` with `_by_address` or `_by_person`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Rate(BaseModel):
    """A token bucket: `burst` at once, and `per_minute` over a long time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    burst: int = Field(ge=1, le=1_000_000)
    per_minute: float = Field(gt=0, le=1_000_000)


class RateLimits(BaseModel):
    """What one address (of IPv6: one /64 network) and one person may do. Beyond it the answer is 429.

    A login is two requests where there is a provider, and one with a link. Forty people behind one address log in and
    start within a minute, a few of them with mistakes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    login_by_address: Rate = Field(
        default=Rate(burst=120, per_minute=60), description="Logins that one address begins and ends."
    )
    failed_login_costs: int = Field(
        default=10, ge=1, le=1000, description="How many logins a refused one counts as, for its address."
    )
    failed_logins: Rate = Field(
        default=Rate(burst=60, per_minute=60),
        description="Refused logins of all addresses together, such as of a botnet. Beyond it, an address that fails "
        "loses its burst; the others lose nothing.",
    )
    login_by_person: Rate = Field(default=Rate(burst=30, per_minute=10), description="Logins of one person.")
    start_by_address: Rate = Field(
        default=Rate(burst=200, per_minute=120), description="Starts and places in the queue asked for by one address."
    )
    start_by_person: Rate = Field(
        default=Rate(burst=40, per_minute=10), description="Starts and places in the queue asked for by one person."
    )
    api_by_address: Rate = Field(
        default=Rate(burst=3000, per_minute=3000), description="Other requests of one address to the hub and the desk."
    )
    api_by_person: Rate = Field(
        default=Rate(burst=1000, per_minute=1200), description="Other requests of one person to the hub and the desk."
    )
