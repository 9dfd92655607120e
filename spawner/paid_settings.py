"""The section `paid` of the settings: paid instances, and how users prove that a cloud account is theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spawner.errors import SetupError


class OAuthSettings(BaseModel):
    """The OAuth client with which users prove that a cloud account is theirs. The defaults are Alibaba Cloud's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str
    secret_file: Path = Field(description="File with the client's secret, and nothing else.")
    issuer: str = "https://oauth.aliyun.com"
    authorize_url: str = "https://signin.aliyun.com/oauth2/v1/auth"
    token_url: str = "https://oauth.aliyun.com/v1/token"  # noqa: S105
    userinfo_url: str = "https://oauth.aliyun.com/v1/userinfo"

    def secret(self) -> str:
        """The client's secret as it is now. Raises `SetupError`."""
        try:
            return self.secret_file.read_text().strip()
        except (OSError, ValueError):
            raise SetupError(
                "The secret of the cloud's sign-in in {path} cannot be read.", path=self.secret_file
            ) from None


class PaidSettings(BaseModel):
    """Paid instances. Each cloud's section is read by its package in `spawner.paid.providers`.

    A cloud without a section is off, and its SDK is not imported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(
        pattern="^[a-z0-9-]{8,40}$",
        description="Marks this installation's instances in the clouds. Chosen once: what carries another label is "
        "not looked for.",
    )
    demo: bool = Field(default=False, description="Whether the cloud is a stand-in, and no money is real.")
    trust_notebooks: bool = Field(default=False, description="The same as `trust_notebooks` outside this section.")
    poll_seconds: float = Field(
        default=30,
        ge=0.1,
        le=300,
        description="Seconds between looks at an instance that runs; its cap allows for them.",
    )
    poll_soon_seconds: float = Field(
        default=5,
        ge=0.1,
        le=60,
        description="Seconds between looks at an instance that is being made, started or stopped.",
    )
    lease_seconds: float = Field(
        default=30,
        ge=3,
        le=300,
        description="Seconds after a steward was killed until another one takes its orders over.",
    )
    oauth: OAuthSettings | None = Field(default=None, description="Needed for linking Alibaba Cloud accounts.")
    dsw: dict[str, Any] | None = Field(default=None, description="PAI-DSW: providers/dsw/settings.py.")
    sagemaker: dict[str, Any] | None = Field(default=None, description="Not offered yet.")

    @model_validator(mode="after")
    def _some_cloud(self) -> PaidSettings:
        if self.sagemaker is not None:
            raise ValueError("sagemaker is not offered yet: nothing proves whose an AWS account is")
        if self.dsw is None:
            raise ValueError("name a cloud, or leave the section out")
        return self

    @model_validator(mode="after")
    def _demo_is_no_cloud(self) -> PaidSettings:
        """A page that says "no money is real" must be right."""
        if self.demo != bool((self.dsw or {}).get("plain_http")):
            raise ValueError("demo and dsw.plain_http go together: both for a stand-in on this machine, else neither")
        return self
