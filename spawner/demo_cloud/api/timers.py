"""PAI-DSW's two ways to stop an instance without its owner: at a time, and when nobody uses it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from spawner.demo_cloud.api.dsw import find, invalid
from spawner.demo_cloud.api.operations import Answer, Ask, Operation
from spawner.demo_cloud.api.views import culler_view, timer_view
from spawner.demo_cloud.clock import ISO
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.notebooks.instance import BOOT, Culler
from spawner.demo_cloud.world import World


def set_timer(world: World, ask: Ask) -> Answer:
    """Stop it at a time, or so many milliseconds from now."""
    instance = find(world, ask)
    if instance.status != "Running" and not (world.behavior.timer_while_booting and instance.status in BOOT):
        raise invalid(f"Instance status {instance.status} does not support CreateInstanceShutdownTimer")
    if instance.due is not None and not world.behavior.timer_replaces:
        raise invalid("The shutdown timer already exists")
    if "RemainingTimeInMs" in ask.body:
        remaining = int(ask.body["RemainingTimeInMs"])
        if remaining <= 0:
            raise invalid("RemainingTimeInMs is invalid")
        instance.due = ask.when + timedelta(milliseconds=remaining)
    else:
        try:
            instance.due = datetime.strptime(ask.body.get("DueTime", ""), ISO).replace(tzinfo=UTC)
        except ValueError:
            raise invalid("DueTime is invalid") from None
    return {"InstanceId": instance.id}


def get_timer(world: World, ask: Ask) -> Answer:
    """When it will be stopped."""
    instance = find(world, ask)
    if instance.due is None:
        raise ApiError(404, "ResourceNotFound", "The shutdown timer does not exist", Success=False)
    return timer_view(instance, ask.when) or {}


def drop_timer(world: World, ask: Ask) -> Answer:
    """Do not stop it."""
    instance = find(world, ask)
    if instance.due is None:
        raise ApiError(404, "ResourceNotFound", "The shutdown timer does not exist", Success=False)
    instance.due = None
    return {"InstanceId": instance.id}


def set_culler(world: World, ask: Ask) -> Answer:
    """Stop it after so many minutes without use."""
    instance = find(world, ask)
    if instance.culler is not None and not world.behavior.timer_replaces:
        raise invalid("The idle instance culler already exists")
    idle = int(ask.body.get("MaxIdleTimeInMinutes", 0))
    cpu, gpu = (int(ask.body.get(f"{kind}PercentThreshold", 10)) for kind in ("Cpu", "Gpu"))
    if idle < 1 or not 1 <= cpu <= 100 or not 1 <= gpu <= 100:
        raise invalid("MaxIdleTimeInMinutes or a threshold is invalid")
    instance.culler = Culler(timedelta(minutes=idle), cpu, gpu)
    return {"InstanceId": instance.id}


def get_culler(world: World, ask: Ask) -> Answer:
    """How long it may idle."""
    instance = find(world, ask)
    if instance.culler is None:
        raise ApiError(404, "ResourceNotFound", "The idle instance culler does not exist", Success=False)
    return culler_view(instance, ask.when) or {}


def drop_culler(world: World, ask: Ask) -> Answer:
    """Let it idle."""
    instance = find(world, ask)
    if instance.culler is None:
        raise ApiError(404, "ResourceNotFound", "The idle instance culler does not exist", Success=False)
    instance.culler = None
    return {"InstanceId": instance.id}


def _op(run: Callable[[World, Ask], Answer], action: str, *, mutates: bool = False) -> Operation:
    return Operation("dsw", run, (f"paidsw:{action}",), mutates=mutates, on_instance=True)


OPERATIONS: dict[str, Operation] = {
    "CreateInstanceShutdownTimer": _op(set_timer, "CreateInstanceShutdownTimer", mutates=True),
    "GetInstanceShutdownTimer": _op(get_timer, "GetInstanceShutdownTimer"),
    "DeleteInstanceShutdownTimer": _op(drop_timer, "DeleteInstanceShutdownTimer", mutates=True),
    "CreateIdleInstanceCuller": _op(set_culler, "CreateIdleInstanceCuller", mutates=True),
    "GetIdleInstanceCuller": _op(get_culler, "GetIdleInstanceCuller"),
    "DeleteIdleInstanceCuller": _op(drop_culler, "DeleteIdleInstanceCuller", mutates=True),
}
