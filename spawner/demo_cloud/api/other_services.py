"""The operations of other services that the paid path needs, and one that it must not be allowed to call."""

from __future__ import annotations

from spawner.demo_cloud.api import sts
from spawner.demo_cloud.api.operations import Answer, ApiCall, Operation
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.world import World


def assume_role(world: World, call: ApiCall) -> Answer:
    """STS AssumeRole."""
    return sts.assume_role(world.directory, call.caller, call.query, call.when)


def caller_identity(_world: World, call: ApiCall) -> Answer:
    """STS GetCallerIdentity."""
    return sts.caller_identity(call.caller)


def workspaces(world: World, call: ApiCall) -> Answer:
    """AIWorkSpace ListWorkspaces."""
    account = world.directory.account(call.caller.account)
    size, page = int(call.query.get("PageSize", 20)), int(call.query.get("PageNumber", 1))
    rows = [
        {"WorkspaceId": key, "WorkspaceName": name, "DisplayName": name, "Status": "ENABLED", "IsDefault": number == 0}
        for number, (key, name) in enumerate(account.workspaces.items())
    ]
    return {"Workspaces": rows[(page - 1) * size : page * size], "TotalCount": len(rows)}


def price(world: World, call: ApiCall) -> Answer:
    """BSS: the hourly price of an instance type for this account. ASSUMED module code."""
    config = dict(part.split(":", 1) for part in call.query.get("ModuleList.1.Config", "").split(",") if ":" in part)
    instance_types = world.regions.get(call.query.get("Region", call.region), {})
    instance_type = instance_types.get(config.get("InstanceType", ""))
    if call.query.get("ProductCode") != "learn" or instance_type is None or instance_type.price is None:
        raise ApiError(400, "InvalidParameter", "The specified product or module is invalid.")
    cost = float(instance_type.price)
    module = {
        "ModuleCode": call.query.get("ModuleList.1.ModuleCode", ""),
        "UnitPrice": cost,
        "OriginalCost": cost,
        "CostAfterDiscount": cost,
        "InvoiceDiscount": 0.0,
    }
    return {
        "Success": True,
        "Code": "Success",
        "Data": {"Currency": instance_type.currency, "ModuleDetails": {"ModuleDetail": [module]}},
    }


def users(_world: World, _call: ApiCall) -> Answer:
    """RAM: the users of an account. Freepool must not need this permission."""
    return {"Users": {"User": []}, "IsTruncated": False}


OPERATIONS: dict[str, Operation] = {
    "AssumeRole": Operation("sts", assume_role),
    "GetCallerIdentity": Operation("sts", caller_identity),
    "ListWorkspaces": Operation("aiworkspace", workspaces, ("paiworkspace:ListWorkspaces",)),
    "GetPayAsYouGoPrice": Operation("bss", price, ("bssapi:GetPayAsYouGoPrice", "bss:DescribePrice")),
    "ListUsers": Operation("ram", users, ("ram:ListUsers",)),
}
