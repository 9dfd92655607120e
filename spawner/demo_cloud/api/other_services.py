"""The cloud's other services, as far as the paid path needs them; and a right that it must not have."""

from __future__ import annotations

from spawner.demo_cloud.api import sts
from spawner.demo_cloud.api.operations import Answer, Ask, Operation
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.world import World


def assume_role(world: World, ask: Ask) -> Answer:
    """STS."""
    return sts.assume_role(world.directory, ask.caller, ask.query, ask.when)


def caller_identity(_world: World, ask: Ask) -> Answer:
    """STS."""
    return sts.caller_identity(ask.caller)


def workspaces(world: World, ask: Ask) -> Answer:
    """AIWorkSpace: where an account's instances live."""
    account = world.directory.account(ask.caller.account)
    size, page = int(ask.query.get("PageSize", 20)), int(ask.query.get("PageNumber", 1))
    rows = [
        {"WorkspaceId": key, "WorkspaceName": name, "DisplayName": name, "Status": "ENABLED", "IsDefault": number == 0}
        for number, (key, name) in enumerate(account.workspaces.items())
    ]
    return {"Workspaces": rows[(page - 1) * size : page * size], "TotalCount": len(rows)}


def price(world: World, ask: Ask) -> Answer:
    """BSS: the hourly price of one instance type, as this account would pay it. ASSUMED module code."""
    config = dict(part.split(":", 1) for part in ask.query.get("ModuleList.1.Config", "").split(",") if ":" in part)
    instance_types = world.regions.get(ask.query.get("Region", ask.region), {})
    instance_type = instance_types.get(config.get("InstanceType", ""))
    if ask.query.get("ProductCode") != "learn" or instance_type is None or instance_type.price is None:
        raise ApiError(400, "InvalidParameter", "The specified product or module is invalid.")
    cost = float(instance_type.price)
    module = {
        "ModuleCode": ask.query.get("ModuleList.1.ModuleCode", ""),
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


def users(_world: World, _ask: Ask) -> Answer:
    """RAM: the people of an account. Nobody who only lends notebooks has any business here."""
    return {"Users": {"User": []}, "IsTruncated": False}


OPERATIONS: dict[str, Operation] = {
    "AssumeRole": Operation("sts", assume_role),
    "GetCallerIdentity": Operation("sts", caller_identity),
    "ListWorkspaces": Operation("aiworkspace", workspaces, ("paiworkspace:ListWorkspaces",)),
    "GetPayAsYouGoPrice": Operation("bss", price, ("bssapi:GetPayAsYouGoPrice", "bss:DescribePrice")),
    "ListUsers": Operation("ram", users, ("ram:ListUsers",)),
}
