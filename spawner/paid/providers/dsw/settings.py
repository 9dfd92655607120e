"""Settings of PAI-DSW: endpoints, the platform's key, regions, timeouts."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from spawner.errors import SetupError
from spawner.paid.providers.dsw.assumptions import DswAssumptions

CLOUD_HOSTS = (".aliyuncs.com",)
"""Suffixes of the hosts that may receive credentials. Loopback may, too, with `plain_http`."""
GATE_HOSTS = (".aliyun.com", ".aliyuncs.com")
"""Suffixes of the hosts that users may be redirected to with a token."""


class PlatformKey(BaseModel):
    """The platform's access key. Its only right is to assume roles that trust it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key_id: str
    access_key_secret: SecretStr
    security_token: SecretStr | None = None


class DswRegion(BaseModel):
    """Endpoints and image of a region. The default endpoints are the cloud's public ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dsw: str = "pai-dsw.{region}.aliyuncs.com"
    workspaces: str = "aiworkspace.{region}.aliyuncs.com"
    image: str = Field(description="Id or URL of the image for instances in this region.")


class DswSettings(BaseModel):
    """Alibaba Cloud PAI-DSW. Endpoints are `host` or `host:port`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: str = Field(
        pattern=r"^acs:ram::\d+:(user|role)/.+$", description="The principal that users' roles trust."
    )
    key_file: Path = Field(description="JSON: access_key_id, access_key_secret, security_token (optional).")
    regions: dict[str, DswRegion] = Field(min_length=1)
    sts: str = "sts.aliyuncs.com"
    ram: str = "ram.aliyuncs.com"
    gate_hosts: tuple[str, ...] = Field(default=GATE_HOSTS, description="Suffixes of instances' hosts.")
    plain_http: bool = Field(default=False, description="Only for a demo cloud on this machine.")
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
                    raise ValueError(f"{endpoint}: plain_http is only allowed with loopback addresses")
            elif not host.endswith(CLOUD_HOSTS):
                raise ValueError(f"{endpoint}: not a host of Alibaba Cloud, so it must not see credentials")
        return self

    @property
    def endpoints(self) -> frozenset[str]:
        """All endpoints that Freepool connects to."""
        regional = (self.endpoint(region, service) for region in self.regions for service in ("dsw", "workspaces"))
        return frozenset((self.sts, self.ram, *regional))

    def endpoint(self, region: str, service: str) -> str:
        """Endpoint of a service (`dsw` or `workspaces`) in a region."""
        pattern: str = getattr(self.regions[region], service)
        return pattern.format(region=region)

    def key(self) -> PlatformKey:
        """Read the platform's key; the file is replaced when the key is rotated. Raises `SetupError`."""
        try:
            return PlatformKey.model_validate(json.loads(self.key_file.read_text()))
        except (OSError, ValueError, ValidationError):
            # The cause may quote the file's content, so it is cut off.
            raise SetupError("The platform's cloud key in {path} cannot be read.", path=str(self.key_file)) from None


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address or `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
