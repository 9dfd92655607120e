"""PAI-DSW 2022-01-01: instances, as their API shows and changes them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from spawner.demo_cloud.api import sts
from spawner.demo_cloud.api.operations import Answer, Ask, Operation
from spawner.demo_cloud.api.views import instance_type_view, instance_view
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.notebooks.instance import BOOT, DELETABLE, INCLUDED_DISK, STARTABLE, UNSTOPPABLE, Instance
from spawner.demo_cloud.world import InstanceType, World

NAME = re.compile(r"[A-Za-z0-9_]{1,27}")
MOST_LABELS_IN_A_FILTER = 4
LARGEST_PAGE = 100


def invalid(message: str, status: int = 400) -> ApiError:
    """The one error code that DSW documents for what a caller did wrong."""
    return ApiError(status, "ValidationError", message, Success=False)


def find(world: World, ask: Ask) -> Instance:
    """The instance that a call is about, if it is the caller's account's and of this region."""
    instance = world.instances.get(ask.subject)
    if instance is None or instance.account != ask.caller.account or instance.region != ask.region:
        raise ApiError(404, "ResourceNotFound", f"Instance {ask.subject} not found", Success=False)  # ASSUMED code
    return instance


def _instance_type(world: World, ask: Ask, name: str) -> InstanceType:
    instance_type = world.regions[ask.region].get(name)
    if instance_type is None:
        raise invalid("EcsSpec is invalid")
    if not instance_type.available:
        raise ApiError(400, "InternalError", f"The resource {name} is out of stock now", Success=False)  # ASSUMED
    return instance_type


def _solvent(world: World, ask: Ask) -> None:
    account = world.directory.account(ask.caller.account)
    if not account.activated:
        raise ApiError(400, "ValidationError", "PAI-DSW is not activated", Success=False)  # ASSUMED
    if not account.sufficient:
        raise ApiError(400, "InternalError", "Your account balance is not enough", Success=False)  # ASSUMED


def create(world: World, ask: Ask) -> Answer:
    """A new instance, on its way. The name is unique; there is no other key against doing it twice."""
    name, account = str(ask.body.get("InstanceName", "")), world.directory.account(ask.caller.account)
    if not NAME.fullmatch(name):
        raise invalid("InstanceName is invalid")
    if not ask.body.get("ImageId") and not ask.body.get("ImageUrl"):
        raise invalid("ImageId or ImageUrl is required")
    workspace = str(ask.body.get("WorkspaceId") or next(iter(account.workspaces)))
    if workspace not in account.workspaces:
        raise ApiError(404, "ValidationError", f"Workspace {workspace} not found", Success=False)
    for other in world.instances.values():
        same = other.workspace == workspace if world.behavior.names_per_workspace else True
        if (other.account, other.region, other.name) == (account.id, ask.region, name) and same:
            raise invalid("instance name already exists")  # the status and these words are documented, the code not
    instance_type = _instance_type(world, ask, str(ask.body.get("EcsSpec", "")))
    _solvent(world, ask)
    disks = [d for d in ask.body.get("CloudDisks", []) if d.get("SubType") == "rootfs"]
    instance = Instance(
        id=f"dsw-{secrets.token_hex(8)}",
        name=name,
        account=account.id,
        region=ask.region,
        workspace=workspace,
        instance_type=instance_type.id,
        price=instance_type.price or Decimal(0),
        disk=int(str(disks[0]["Capacity"]).removesuffix("Gi")) if disks else INCLUDED_DISK,
        creator=ask.caller.creator,
        created=ask.when,
        since=ask.when,
        labels={label["Key"]: label["Value"] for label in ask.body.get("Labels", [])},
        tags={tag["Key"]: tag["Value"] for tag in ask.body.get("Tag", [])},
        accessibility=ask.body.get("Accessibility", "PRIVATE"),
        image=ask.body.get("ImageId") or ask.body.get("ImageUrl") or "",
        owner=str(ask.body.get("UserId") or account.id),
    )
    world.instances[instance.id] = instance
    return {"InstanceId": instance.id}


def get(world: World, ask: Ask) -> Answer:
    """One instance."""
    return instance_view(world, find(world, ask), ask.when)


def list_all(world: World, ask: Ask) -> Answer:
    """One page. An empty workspace means the default one only, and names are matched in part."""
    query, account = ask.query, world.directory.account(ask.caller.account)
    if ("SortBy" in query) != ("Order" in query):
        raise invalid("SortBy and Order must be used together")
    size, page = int(query.get("PageSize", 10)), int(query.get("PageNumber", 1))
    labels = json.loads(query.get("Labels", "{}"))
    if not isinstance(labels, dict) or len(labels) > MOST_LABELS_IN_A_FILTER:
        raise invalid("Labels is invalid")
    if not 1 <= size <= LARGEST_PAGE or page < 1:
        raise invalid("PageSize or PageNumber is invalid")
    workspace = query.get("WorkspaceId") or next(iter(account.workspaces))
    rows = [
        instance
        for instance in world.instances.values()
        if (instance.account, instance.region) == (account.id, ask.region)
        and workspace in ("ALL", instance.workspace)
        and query.get("InstanceName", "") in instance.name
        and query.get("Status") in (None, "", instance.status)
        and labels.items() <= dict(instance.labels).items()
        and _seen(world, ask, instance)
    ]
    rows.sort(key=lambda instance: (instance.created, instance.id), reverse=query.get("Order", "DESC") != "ASC")
    chosen = rows[(page - 1) * size : page * size]
    return {"Instances": [instance_view(world, one, ask.when) for one in chosen], "TotalCount": len(rows)}


def _seen(world: World, ask: Ask, instance: Instance) -> bool:
    """Private ones of other creators need a right of their own."""
    if instance.creator == ask.caller.creator:
        return world.directory.account(ask.caller.account).sees_own
    return instance.accessibility == "PUBLIC" or sts.is_allowed(world, ask.caller, "paidsw:ListAllInstances")


def start(world: World, ask: Ask) -> Answer:
    """Boot a stopped one, at today's price."""
    instance = find(world, ask)
    if instance.status not in STARTABLE:
        raise invalid(f"Instance status {instance.status} does not support Start")
    instance_type = _instance_type(world, ask, instance.instance_type)
    _solvent(world, ask)
    instance.price = instance_type.price or Decimal(0)
    instance.change(BOOT[0], ask.when)
    return {"InstanceId": instance.id}


def stop(world: World, ask: Ask) -> Answer:
    """Give the machine back. Files stay."""
    instance = find(world, ask)
    if instance.status in UNSTOPPABLE:
        raise invalid(f"Instance status {instance.status} does not support Stop")
    instance.held = False
    instance.change("Stopping", ask.when)
    return {"InstanceId": instance.id}


def delete(world: World, ask: Ask) -> Answer:
    """The end, of the files, too. ASSUMED: only of what has stopped."""
    instance = find(world, ask)
    if instance.status not in DELETABLE and not world.behavior.delete_while_running:
        raise invalid(f"Instance status {instance.status} does not support Delete")
    instance.held = False
    instance.change("Deleting", ask.when)
    return {"InstanceId": instance.id}


def instance_types(world: World, ask: Ask) -> Answer:
    """One page of the price list."""
    wanted = ask.query.get("AcceleratorType")
    if wanted not in ("CPU", "GPU"):
        raise invalid("AcceleratorType is invalid")
    rows = [
        instance_type
        for instance_type in world.regions[ask.region].values()
        if (wanted == "GPU") == bool(instance_type.gpus)
    ]
    size, page = int(ask.query.get("PageSize", 10)), int(ask.query.get("PageNumber", 1))
    chosen = rows[(page - 1) * size : page * size]
    return {"EcsSpecs": [instance_type_view(instance_type) for instance_type in chosen], "TotalCount": len(rows)}


def user_config(world: World, ask: Ask) -> Answer:
    """Whether the account can pay."""
    return {
        "AccountSufficient": world.directory.account(ask.caller.account).sufficient,
        "FreeTier": {"IsFreeTierUser": False},
    }


def events(world: World, ask: Ask) -> Answer:
    """What happened to it."""
    instance = find(world, ask)
    return {"InstanceId": instance.id, "Events": list(instance.events)}


def token(world: World, ask: Ask) -> Answer:
    """A way in through the gateway, for a while."""
    instance = find(world, ask)
    seconds = float(ask.query.get("ExpireTime") or 3600)
    kind = ask.query.get("Type", "Access")
    return {"Token": world.access_tokens.mint(instance.id, kind, ask.when, seconds)}


def _op(
    run: Callable[[World, Ask], Answer], *actions: str, mutates: bool = False, on_instance: bool = False
) -> Operation:
    names = tuple(f"paidsw:{action}" for action in actions)
    return Operation("dsw", run, names, mutates=mutates, on_instance=on_instance)


OPERATIONS: dict[str, Operation] = {
    # ASSUMED: of several documented names for one right, any will do.
    "CreateInstance": _op(create, "CreateInstance", "CreatePostPaidInstance", mutates=True),
    "GetInstance": _op(get, "GetInstance", on_instance=True),
    "ListInstances": _op(list_all, "ListInstances"),
    "StartInstance": _op(start, "StartInstance", mutates=True, on_instance=True),
    "StopInstance": _op(stop, "StopInstance", mutates=True, on_instance=True),
    "DeleteInstance": _op(delete, "DeletePostPaidInstance", "DeleteInstance", mutates=True, on_instance=True),
    "ListEcsSpecs": _op(instance_types, "ListEcsSpecs"),
    "GetUserConfig": _op(user_config, "GetUserConfig"),
    "GetInstanceEvents": _op(events, "GetInstanceEvents", on_instance=True),
    "GetToken": _op(token, "GetToken", "OpenInstance", on_instance=True),
}


def boot_fails(instance: Instance, code: str, message: str, now: datetime) -> None:
    """Its next boot, or the one under way, ends as Failed."""
    instance.fails = (code, message)
    if instance.status == "Running":
        instance.change("Failed", now)
