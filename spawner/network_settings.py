"""The section `network` of the settings: what instances on one machine reach and send."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class InstanceNetwork(BaseModel):
    """What instances of this machine's pool reach. A cluster's pool has NetworkPolicies instead."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    internet: bool = Field(default=True, description="False: instances reach the hub and the desk, and nothing else.")
    also_refuse: tuple[str, ...] = Field(
        default=(), description="Networks beside private ones, such as your servers' public addresses: 198.51.100.0/24."
    )
    allow: tuple[str, ...] = Field(
        default=(), description="Private networks that are reached nevertheless, by TCP: such as a package mirror's."
    )
    upload_megabits: float = Field(
        default=100, ge=0, description="The most that one instance sends to the internet, in Mbit/s; 0: no limit."
    )
    connections: int = Field(default=1000, ge=0, description="Connections of one instance at once; 0: no limit.")
    new_connections_per_second: int = Field(
        default=25, ge=0, description="New connections of one instance; after a pause ten times as many. 0: no limit."
    )
    packets_per_second: int = Field(default=20_000, ge=0, description="Packets that one instance sends; 0: no limit.")
    log_days: float = Field(
        default=30,
        ge=0,
        description="How long it is kept which instance had a connection to which address (`freepool traffic`); "
        "0: not written.",
    )
    log_megabytes: float = Field(
        default=1000, gt=0, description="The largest size of these logs together; the oldest go first."
    )
    means: Literal["pasta", "slirp4netns", "closed", "shared"] | None = Field(
        default=None, description="Filled in by `freepool up`: what works on this machine."
    )
    why: str = Field(default="", description="Filled in by `freepool up`: why nothing better does.")

    @field_validator("also_refuse", "allow")
    @classmethod
    def _are_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            try:
                ip_network(one, strict=False)
            except ValueError:
                raise ValueError(f"{one!r} is not a network: use 10.1.2.0/24, or an address") from None
        return given
