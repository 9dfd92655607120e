"""PAI-DSW 2022-01-01: the operations on instances."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from spawner.demo_cloud.api import sts
from spawner.demo_cloud.api.operations import Answer, ApiCall, Operation
from spawner.demo_cloud.api.views import instance_type_view, instance_view
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.notebooks.instance import BOOT, DELETABLE, INCLUDED_DISK, STARTABLE, UNSTOPPABLE, Instance
from spawner.demo_cloud.world import InstanceType, World

NAME = re.compile(r"[A-Za-z0-9_]{1,27}")
MOST_LABELS_IN_A_FILTER = 4
LARGEST_PAGE = 100


def invalid(message: str, status: int = 400) -> ApiError:
    """The only error code that DSW documents for invalid requests."""
    return ApiError(status, "ValidationError", message, Success=False)


def find(world: World, call: ApiCall) -> Instance:
    """The call's instance. Raises `ApiError` unless it is in the caller's account and in this region."""
    instance = world.instances.get(call.subject)
    if instance is None or instance.account != call.caller.account or instance.region != call.region:
        raise ApiError(404, "ResourceNotFound", f"Instance {call.subject} not found", Success=False)  # ASSUMED code
    return instance


def _instance_type(world: World, call: ApiCall, name: str) -> InstanceType:
    instance_type = world.regions[call.region].get(name)
    if instance_type is None:
        raise invalid("EcsSpec is invalid")
    if not instance_type.available:
        raise ApiError(400, "InternalError", f"The resource {name} is out of stock now", Success=False)  # ASSUMED
    return instance_type


def _refuse_insolvent(world: World, call: ApiCall) -> None:
    account = world.directory.account(call.caller.account)
    if not account.activated:
        raise ApiError(400, "ValidationError", "PAI-DSW is not activated", Success=False)  # ASSUMED
    if not account.sufficient:
        raise ApiError(400, "InternalError", "Your account balance is not enough", Success=False)  # ASSUMED


def create(world: World, call: ApiCall) -> Answer:
    """Create an instance. Only its unique name makes the call idempotent."""
    name, account = str(call.body.get("InstanceName", "")), world.directory.account(call.caller.account)
    if not NAME.fullmatch(name):
        raise invalid("InstanceName is invalid")
    if not call.body.get("ImageId") and not call.body.get("ImageUrl"):
        raise invalid("ImageId or ImageUrl is required")
    workspace = str(call.body.get("WorkspaceId") or next(iter(account.workspaces)))
    if workspace not in account.workspaces:
        raise ApiError(404, "ValidationError", f"Workspace {workspace} not found", Success=False)
    for other in world.instances.values():
        is_same_scope = other.workspace == workspace if world.behavior.names_per_workspace else True
        if (other.account, other.region, other.name) == (account.id, call.region, name) and is_same_scope:
            raise invalid("instance name already exists")  # status and message are documented, the code is ASSUMED
    instance_type = _instance_type(world, call, str(call.body.get("EcsSpec", "")))
    _refuse_insolvent(world, call)
    disks = [d for d in call.body.get("CloudDisks", []) if d.get("SubType") == "rootfs"]
    instance = Instance(
        id=f"dsw-{secrets.token_hex(8)}",
        name=name,
        account=account.id,
        region=call.region,
        workspace=workspace,
        instance_type=instance_type.id,
        price=instance_type.price or Decimal(0),
        disk=int(str(disks[0]["Capacity"]).removesuffix("Gi")) if disks else INCLUDED_DISK,
        creator=call.caller.creator,
        created=call.when,
        since=call.when,
        labels={label["Key"]: label["Value"] for label in call.body.get("Labels", [])},
        tags={tag["Key"]: tag["Value"] for tag in call.body.get("Tag", [])},
        accessibility=call.body.get("Accessibility", "PRIVATE"),
        image=call.body.get("ImageId") or call.body.get("ImageUrl") or "",
        owner=str(call.body.get("UserId") or account.id),
    )
    world.instances[instance.id] = instance
    return {"InstanceId": instance.id}


def get(world: World, call: ApiCall) -> Answer:
    """One instance."""
    return instance_view(world, find(world, call), call.when)


def list_all(world: World, call: ApiCall) -> Answer:
    """One page of instances. Without a workspace only the default one is listed; `InstanceName` matches substrings."""
    query, account = call.query, world.directory.account(call.caller.account)
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
        if (instance.account, instance.region) == (account.id, call.region)
        and workspace in ("ALL", instance.workspace)
        and query.get("InstanceName", "") in instance.name
        and query.get("Status") in (None, "", instance.status)
        and labels.items() <= dict(instance.labels).items()
        and _is_visible(world, call, instance)
    ]
    rows.sort(key=lambda instance: (instance.created, instance.id), reverse=query.get("Order", "DESC") != "ASC")
    chosen = rows[(page - 1) * size : page * size]
    return {"Instances": [instance_view(world, instance, call.when) for instance in chosen], "TotalCount": len(rows)}


def _is_visible(world: World, call: ApiCall, instance: Instance) -> bool:
    """Whether a listing shows the instance. Private instances of other creators need an additional permission."""
    if instance.creator == call.caller.creator:
        return world.directory.account(call.caller.account).sees_own
    return instance.accessibility == "PUBLIC" or sts.is_allowed(world, call.caller, "paidsw:ListAllInstances")


def start(world: World, call: ApiCall) -> Answer:
    """Start a stopped instance, at the current price."""
    instance = find(world, call)
    if instance.status not in STARTABLE:
        raise invalid(f"Instance status {instance.status} does not support Start")
    instance_type = _instance_type(world, call, instance.instance_type)
    _refuse_insolvent(world, call)
    instance.price = instance_type.price or Decimal(0)
    instance.change(BOOT[0], call.when)
    return {"InstanceId": instance.id}


def stop(world: World, call: ApiCall) -> Answer:
    """Stop the instance. Its files stay."""
    instance = find(world, call)
    if instance.status in UNSTOPPABLE:
        raise invalid(f"Instance status {instance.status} does not support Stop")
    instance.held = False
    instance.change("Stopping", call.when)
    return {"InstanceId": instance.id}


def delete(world: World, call: ApiCall) -> Answer:
    """Delete the instance and its files. ASSUMED: only if it is stopped."""
    instance = find(world, call)
    if instance.status not in DELETABLE and not world.behavior.delete_while_running:
        raise invalid(f"Instance status {instance.status} does not support Delete")
    instance.held = False
    instance.change("Deleting", call.when)
    return {"InstanceId": instance.id}


def instance_types(world: World, call: ApiCall) -> Answer:
    """One page of the price list."""
    kind = call.query.get("AcceleratorType")
    if kind not in ("CPU", "GPU"):
        raise invalid("AcceleratorType is invalid")
    rows = [
        instance_type
        for instance_type in world.regions[call.region].values()
        if (kind == "GPU") == bool(instance_type.gpus)
    ]
    size, page = int(call.query.get("PageSize", 10)), int(call.query.get("PageNumber", 1))
    chosen = rows[(page - 1) * size : page * size]
    return {"EcsSpecs": [instance_type_view(instance_type) for instance_type in chosen], "TotalCount": len(rows)}


def user_config(world: World, call: ApiCall) -> Answer:
    """Whether the account can pay."""
    return {
        "AccountSufficient": world.directory.account(call.caller.account).sufficient,
        "FreeTier": {"IsFreeTierUser": False},
    }


def events(world: World, call: ApiCall) -> Answer:
    """The instance's events."""
    instance = find(world, call)
    return {"InstanceId": instance.id, "Events": list(instance.events)}


def token(world: World, call: ApiCall) -> Answer:
    """A token that opens the instance until it expires."""
    instance = find(world, call)
    seconds = float(call.query.get("ExpireTime") or 3600)
    kind = call.query.get("Type", "Access")
    return {"Token": world.access_tokens.mint(instance.id, kind, call.when, seconds)}


def _op(
    run: Callable[[World, ApiCall], Answer], *actions: str, mutates: bool = False, on_instance: bool = False
) -> Operation:
    names = tuple(f"paidsw:{action}" for action in actions)
    return Operation("dsw", run, names, mutates=mutates, on_instance=on_instance)


OPERATIONS: dict[str, Operation] = {
    # ASSUMED: where several names of a permission are documented, each of them is sufficient.
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
    """Make the current or next boot, or the running instance, end as Failed."""
    instance.fails = (code, message)
    if instance.status == "Running":
        instance.change("Failed", now)
