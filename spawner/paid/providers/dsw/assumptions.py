"""Assumptions about Alibaba Cloud that its documentation does not confirm.

Each is a setting, so that a wrong one can be corrected without a release. The demo cloud behaves by the same
assumptions.
"""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class DswAssumptions(BaseModel):
    """Undocumented behaviour of PAI-DSW. `*_words` are matched in its messages, in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_url: str | None = Field(
        default="{lab_url}?token={token}",
        description="Address that opens an instance. None: its address without a token; the user logs in to the cloud.",
    )
    access_seconds: int = Field(default=300, ge=30, le=3600, description="Lifetime of the token.")
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
        description="Prefixes of codes that mean that the role is gone or denies the call.",
    )
    expired_codes: tuple[str, ...] = ("InvalidSecurityToken.Expired",)
    open_codes: tuple[str, ...] = Field(
        default=("InternalError",), description="Prefixes of codes after which the outcome is unknown, at any status."
    )
    not_there_unless: tuple[str, ...] = Field(
        default=("InvalidAction", "InvalidApi", "InvalidVersion", "EntityNotExist.Role", "ValidationError.Workspace"),
        description="A 404 means that there is no such instance, except with codes with these prefixes.",
    )
    timer_must_be_dropped_first: bool = Field(
        default=True, description="Whether the cloud refuses a second timer, so that the first must be deleted."
    )
    included_disk_gib: int = Field(default=100, description="Disk that is free of charge on public resources.")
    disk_price: Decimal | None = Field(
        default=None,
        description="Price of one GiB and hour beyond it, in the currency of the instance types; no API returns it.",
    )
    create_actions: tuple[str, ...] = ("paidsw:CreateInstance", "paidsw:CreatePostPaidInstance")
    delete_actions: tuple[str, ...] = ("paidsw:DeleteInstance", "paidsw:DeletePostPaidInstance")
    role_link: str = Field(
        default="https://ros.console.aliyun.com/{region}/stacks/create?templateUrl={template_url}"
        "&stackName=freepool&parameters={parameters}",
        description="Page where a user creates the role; the link's parameters are not documented.",
    )
    console_link: str = Field(
        default="https://pai.console.aliyun.com/?regionId={region}#/dsw-notebook",
        description="Page where a user sees, stops and deletes instances without Freepool; may contain {account}.",
    )
    bill_link: str = Field(
        default="https://usercenter2.aliyun.com/finance/expense-report/overview", description="Page with the bill."
    )
