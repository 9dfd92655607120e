"""PAI-DSW's shutdown timers and idle cullers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from spawner.demo_cloud.api.dsw import find, invalid
from spawner.demo_cloud.api.operations import Answer, ApiCall, Operation
from spawner.demo_cloud.api.views import culler_view, timer_view
from spawner.demo_cloud.clock import ISO
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.notebooks.instance import BOOT, Culler
from spawner.demo_cloud.world import World


def set_timer(world: World, call: ApiCall) -> Answer:
    """Set the shutdown timer, by time or by remaining milliseconds."""
    instance = find(world, call)
    if instance.status != "Running" and not (world.behavior.timer_while_booting and instance.status in BOOT):
        raise invalid(f"Instance status {instance.status} does not support CreateInstanceShutdownTimer")
    if instance.due is not None and not world.behavior.timer_replaces:
        raise invalid("The shutdown timer already exists")
    if "RemainingTimeInMs" in call.body:
        remaining = int(call.body["RemainingTimeInMs"])
        if remaining <= 0:
            raise invalid("RemainingTimeInMs is invalid")
        instance.due = call.when + timedelta(milliseconds=remaining)
    else:
        try:
            instance.due = datetime.strptime(call.body.get("DueTime", ""), ISO).replace(tzinfo=UTC)
        except ValueError:
            raise invalid("DueTime is invalid") from None
    return {"InstanceId": instance.id}


def get_timer(world: World, call: ApiCall) -> Answer:
    """The shutdown timer."""
    instance = find(world, call)
    if instance.due is None:
        raise ApiError(404, "ResourceNotFound", "The shutdown timer does not exist", Success=False)
    return timer_view(instance, call.when) or {}


def drop_timer(world: World, call: ApiCall) -> Answer:
    """Delete the shutdown timer."""
    instance = find(world, call)
    if instance.due is None:
        raise ApiError(404, "ResourceNotFound", "The shutdown timer does not exist", Success=False)
    instance.due = None
    return {"InstanceId": instance.id}


def set_culler(world: World, call: ApiCall) -> Answer:
    """Set the idle culler."""
    instance = find(world, call)
    if instance.culler is not None and not world.behavior.timer_replaces:
        raise invalid("The idle instance culler already exists")
    idle = int(call.body.get("MaxIdleTimeInMinutes", 0))
    cpu, gpu = (int(call.body.get(f"{kind}PercentThreshold", 10)) for kind in ("Cpu", "Gpu"))
    if idle < 1 or not 1 <= cpu <= 100 or not 1 <= gpu <= 100:
        raise invalid("MaxIdleTimeInMinutes or a threshold is invalid")
    instance.culler = Culler(timedelta(minutes=idle), cpu, gpu)
    return {"InstanceId": instance.id}


def get_culler(world: World, call: ApiCall) -> Answer:
    """The idle culler."""
    instance = find(world, call)
    if instance.culler is None:
        raise ApiError(404, "ResourceNotFound", "The idle instance culler does not exist", Success=False)
    return culler_view(instance, call.when) or {}


def drop_culler(world: World, call: ApiCall) -> Answer:
    """Delete the idle culler."""
    instance = find(world, call)
    if instance.culler is None:
        raise ApiError(404, "ResourceNotFound", "The idle instance culler does not exist", Success=False)
    instance.culler = None
    return {"InstanceId": instance.id}


def _op(run: Callable[[World, ApiCall], Answer], action: str, *, mutates: bool = False) -> Operation:
    return Operation("dsw", run, (f"paidsw:{action}",), mutates=mutates, on_instance=True)


OPERATIONS: dict[str, Operation] = {
    "CreateInstanceShutdownTimer": _op(set_timer, "CreateInstanceShutdownTimer", mutates=True),
    "GetInstanceShutdownTimer": _op(get_timer, "GetInstanceShutdownTimer"),
    "DeleteInstanceShutdownTimer": _op(drop_timer, "DeleteInstanceShutdownTimer", mutates=True),
    "CreateIdleInstanceCuller": _op(set_culler, "CreateIdleInstanceCuller", mutates=True),
    "GetIdleInstanceCuller": _op(get_culler, "GetIdleInstanceCuller"),
    "DeleteIdleInstanceCuller": _op(drop_culler, "DeleteIdleInstanceCuller", mutates=True),
}
