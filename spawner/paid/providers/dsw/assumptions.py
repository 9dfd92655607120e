"""What Freepool takes for granted of Alibaba Cloud and no document says: all of it, in one place.

Each is a setting, so that what a real account shows to be wrong is mended without a release. What the stand-in cloud
assumes is marked there in the same words.
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class DswAssumptions(BaseModel):
    """Undocumented behaviour of PAI-DSW. Words are looked for in its messages, in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_url: str | None = Field(
        default="{lab_url}?token={token}",
        description="How a token opens an instance. None: its plain address, where its owner logs in to the cloud.",
    )
    access_seconds: int = Field(default=300, ge=30, le=3600, description="For how long a minted token opens it.")
    access_audience: str = "ThirdParty"
    exists_words: tuple[str, ...] = ("already exist",)
    conflict_words: tuple[str, ...] = ("does not support", "not support start", "not support stop")
    stock_words: tuple[str, ...] = ("out of stock", "no stock", "nostock", "insufficient resource", "sold out")
    balance_words: tuple[str, ...] = ("balance", "arrear", "overdue", "quotaexceeded", "quota exceeded")
    auth_codes: tuple[str, ...] = Field(
        default=(
            "NoPermission",
            "Forbidden.RAM",
            "InvalidSecurityToken",
            "MissingSecurityToken",
            "EntityNotExist.Role",
            "InvalidParameter.RoleArn",
            "InvalidAccessKeyId",
            "AccessDenied",
        ),
        description="Beginnings of codes that say that the role is gone or forbids it.",
    )
    expired_codes: tuple[str, ...] = ("InvalidSecurityToken.Expired",)
    open_codes: tuple[str, ...] = Field(
        default=("InternalError",), description="Beginnings of codes that leave open what came of it, with any status."
    )
    not_there_unless: tuple[str, ...] = Field(
        default=("InvalidAction", "InvalidApi", "InvalidVersion", "EntityNotExist.Role", "ValidationError.Workspace"),
        description="A 404 means that there is no such instance, except with codes that begin like this.",
    )
    timer_must_be_dropped_first: bool = Field(
        default=True, description="Whether a second timer is refused as existing, and so the first is taken away."
    )
    included_disk_gib: int = Field(default=100, description="Of disk that is free of charge on public resources.")
    disk_price: Decimal | None = Field(
        default=None, description="Of one GiB and hour beyond it, in the currency of the shapes; no API says it."
    )
    create_actions: tuple[str, ...] = ("paidsw:CreateInstance", "paidsw:CreatePostPaidInstance")
    delete_actions: tuple[str, ...] = ("paidsw:DeleteInstance", "paidsw:DeletePostPaidInstance")
    role_link: str = Field(
        default="https://ros.console.aliyun.com/{region}/stacks/create?templateUrl={template_url}"
        "&stackName=freepool&parameters={parameters}",
        description="Where a person makes the role in one click; the link's parameters are not documented.",
    )
    console_link: str = Field(
        default="https://pai.console.aliyun.com/?regionId={region}#/dsw-notebook",
        description="Where a person sees, stops and deletes instances without us; {account} may stand in it, too.",
    )
    bill_link: str = Field(
        default="https://usercenter2.aliyun.com/finance/expense-report/overview", description="Where the bill is."
    )
