"""Where Alibaba Cloud is reached, as whom, and with what at hand."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from spawner.errors import SetupError
from spawner.paid.providers.dsw.assumptions import DswAssumptions

CLOUD_HOSTS = (".aliyuncs.com",)
"""The only hosts that may ever see a credential, except this machine itself."""
GATE_HOSTS = (".aliyun.com", ".aliyuncs.com")
"""The only hosts to which a person is sent with a token."""


class PlatformKey(BaseModel):
    """The platform's own key: it can do nothing but ask for roles that trust it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key_id: str
    access_key_secret: SecretStr
    security_token: SecretStr | None = None


class DswRegion(BaseModel):
    """The two doors of a region; the defaults are the cloud's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dsw: str = "pai-dsw.{region}.aliyuncs.com"
    workspaces: str = "aiworkspace.{region}.aliyuncs.com"
    image: str = Field(description="Id or URL of the image that instances of this region start from.")


class DswSettings(BaseModel):
    """Alibaba Cloud PAI-DSW. Endpoints are `host` or `host:port`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: str = Field(pattern=r"^acs:ram::\d+:(user|role)/.+$", description="Whom people's roles are to trust.")
    key_file: Path = Field(description="JSON: access_key_id, access_key_secret, security_token (optional).")
    regions: dict[str, DswRegion] = Field(min_length=1)
    sts: str = "sts.aliyuncs.com"
    ram: str = "ram.aliyuncs.com"
    gate_hosts: tuple[str, ...] = Field(default=GATE_HOSTS, description="Ends of hosts that instances may live at.")
    plain_http: bool = Field(default=False, description="For a stand-in on this machine, and nothing else.")
    connect_seconds: float = Field(default=3, gt=0)
    read_seconds: float = Field(default=10, gt=0)
    readers: int = Field(default=4, ge=1, le=64, description="Threads for calls that read.")
    actors: int = Field(default=2, ge=1, le=64, description="Threads for calls that change something.")
    assumptions: DswAssumptions = DswAssumptions()

    @field_validator("principal")
    @classmethod
    def _no_root(cls, principal: str) -> str:
        if principal.endswith(":root"):
            raise ValueError("an account itself cannot assume roles: name a RAM user or role")
        return principal

    @model_validator(mode="after")
    def _endpoints(self) -> DswSettings:
        for endpoint in self.endpoints:
            host = endpoint.rpartition(":")[0] or endpoint
            if self.plain_http:
                if not is_loopback(host):
                    raise ValueError(f"{endpoint}: without TLS only this machine itself may be talked to")
            elif not host.endswith(CLOUD_HOSTS):
                raise ValueError(f"{endpoint}: not a host of Alibaba Cloud, so it must not see credentials")
        return self

    @property
    def endpoints(self) -> frozenset[str]:
        """All that will ever be talked to."""
        doors = (self.endpoint(region, door) for region in self.regions for door in ("dsw", "workspaces"))
        return frozenset((self.sts, self.ram, *doors))

    def endpoint(self, region: str, door: str) -> str:
        """Host of a region's `dsw` or `workspaces`."""
        pattern: str = getattr(self.regions[region], door)
        return pattern.format(region=region)

    def key(self) -> PlatformKey:
        """The platform's key as it is now: whoever rotates it replaces the file. Raises `SetupError`."""
        try:
            return PlatformKey.model_validate(json.loads(self.key_file.read_text()))
        except (OSError, ValueError, ValidationError):
            # The causes may quote what the file says.
            raise SetupError("The platform's cloud key in {path} cannot be read.", path=str(self.key_file)) from None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, by number or by its one reserved name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
