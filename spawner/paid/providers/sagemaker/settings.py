"""Settings of AWS SageMaker: endpoints, the platform's key, instance types and prices."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from spawner.errors import SetupError
from spawner.paid.providers.dsw.settings import is_loopback

CLOUD_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")
GATE_HOSTS = (".sagemaker.aws",)


class AwsKey(BaseModel):
    """The platform's access key. Its only right is to assume roles that trust it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key_id: str
    access_key_secret: SecretStr
    security_token: SecretStr | None = None


class SageMakerInstanceType(BaseModel):
    """An instance type on offer. The price is set here because the user's role should not need to read AWS's price
    list.

    Memory is in GiB, the price in US dollars an hour. Without a price it cannot be chosen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^ml\.")
    cpu: int
    memory: int
    gpu_count: int = 0
    gpu_name: str | None = None
    gpu_memory: int | None = None
    price: Decimal | None = Field(default=None, gt=0)


class SageMakerSettings(BaseModel):
    """SageMaker notebook instances. Endpoints are host, or host and port."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: str = Field(
        pattern=r"^arn:aws[a-z-]*:iam::\d{12}:(user|role)/.+$", description="The principal that users' roles trust."
    )
    key_file: Path = Field(description="JSON: access_key_id, access_key_secret, security_token (optional).")
    regions: tuple[str, ...] = Field(min_length=1)
    instance_types: tuple[SageMakerInstanceType, ...]
    execution_role: str = Field(
        default="arn:aws:iam::{account}:role/FreepoolNotebook",
        description="The role that the instance runs as, in the user's account; it needs no rights.",
    )
    volume_gib: int = Field(default=5, ge=5, le=16384)
    volume_price: Decimal | None = Field(default=None, description="Price of one GiB and hour, in US dollars.")
    api: str = "api.sagemaker.{region}.amazonaws.com"
    sts: str = "sts.{region}.amazonaws.com"
    gate_hosts: tuple[str, ...] = GATE_HOSTS
    plain_http: bool = Field(default=False, description="Only for an emulator on this machine.")
    access_seconds: int = Field(default=1800, ge=1800, le=43200)
    connect_seconds: float = Field(default=3, gt=0)
    read_seconds: float = Field(default=10, gt=0)
    readers: int = Field(default=4, ge=1, le=64)
    actors: int = Field(default=2, ge=1, le=64)

    @model_validator(mode="after")
    def _endpoints(self) -> SageMakerSettings:
        for pattern in (self.api, self.sts):
            endpoint = pattern.format(region=self.regions[0])
            host = endpoint.rpartition(":")[0] or endpoint
            if self.plain_http:
                if not is_loopback(host):
                    raise ValueError(f"{endpoint}: plain_http is only allowed with loopback addresses")
            elif not host.endswith(CLOUD_HOSTS):
                raise ValueError(f"{endpoint}: not a host of AWS, so it must not see credentials")
        return self

    def url(self, pattern: str, region: str) -> str:
        """URL of a service in a region."""
        return f"{'http' if self.plain_http else 'https'}://{pattern.format(region=region)}"

    def key(self) -> AwsKey:
        """Read the platform's key, which may have been rotated. Raises `SetupError`."""
        try:
            return AwsKey.model_validate(json.loads(self.key_file.read_text()))
        except (OSError, ValueError, ValidationError):
            # The cause may quote the file's content, so it is cut off.
            raise SetupError("The platform's cloud key in {path} cannot be read.", path=str(self.key_file)) from None
