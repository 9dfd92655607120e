"""How tests and demonstrations steer the cloud: time, accounts, roles, prices, faults; and what it has seen.

Every call is a POST of JSON to `/demo/admin/NAME`, with the answer as JSON. No browser page of somebody else's can
make one: the content type asks for a permission that is never given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web

from spawner.demo_cloud.accounts import Account
from spawner.demo_cloud.api.dsw import boot_fails
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.notebooks.instance import UNSTOPPABLE, Instance, Pace
from spawner.demo_cloud.policy import BadPolicy
from spawner.demo_cloud.world import World

Data = Mapping[str, Any]
Command = Callable[[World, Data], Any]


def add_routes(application: web.Application, world: World) -> None:
    """Its one route."""

    async def handle(request: web.Request) -> web.Response:
        command = COMMANDS.get(request.match_info["name"])
        if command is None or request.content_type != "application/json":
            raise web.HTTPNotFound
        try:
            result = command(world, await request.json())
        except (ApiError, BadPolicy, KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.json_response(result, dumps=lambda value: json.dumps(value, default=str))

    application.router.add_post("/demo/admin/{name}", handle)


def advance(world: World, data: Data) -> Any:
    """Move time on by `seconds`."""
    world.now()
    world.clock.advance(float(data["seconds"]))
    return {"now": world.now().isoformat()}


def speed(world: World, data: Data) -> Any:
    """Let time run `speed` times as fast as real time."""
    world.clock.speed = float(data["speed"])
    return {"now": world.now().isoformat()}


def account(world: World, data: Data) -> Any:
    """Make an account, or change what one is: name, workspaces, sufficient, activated, sees_own."""
    known = world.directory.accounts.get(data["id"]) or world.directory.add(data["id"], data.get("name", data["id"]))
    for key in data.keys() & {"name", "workspaces", "sufficient", "activated", "sees_own"}:
        setattr(known, key, data[key])
    return _account(world, known)


def accounts(world: World, _data: Data) -> Any:
    """All of them, with roles and what they owe."""
    return [_account(world, known) for known in world.directory.accounts.values()]


def role(world: World, data: Data) -> Any:
    """Put a role from its two documents."""
    made = world.directory.put_role(
        data["account"], data["name"], data["trust"], data["permissions"], int(data.get("max_session", 3600))
    )
    return {"arn": made.arn}


def drop_role(world: World, data: Data) -> Any:
    """Take a role away."""
    world.directory.drop_role(data["arn"])
    return {}


def shape(world: World, data: Data) -> Any:
    """Change price, stock or currency of a shape, in one region or in all."""
    for region in [data["region"]] if "region" in data else world.regions:
        known = world.regions[region][data["id"]]
        if "price" in data:
            known.price = None if data["price"] is None else Decimal(str(data["price"]))
        for key in data.keys() & {"available", "currency"}:
            setattr(known, key, data[key])
    return {}


def fault(world: World, data: Data) -> Any:
    """Something goes wrong with the next calls of an action."""
    world.faults.add(dict(data))
    return {}


def clear_faults(world: World, _data: Data) -> Any:
    """Nothing goes wrong any more."""
    world.faults.waiting.clear()
    return {}


def requests(world: World, data: Data) -> Any:
    """The calls after number `since`."""
    world.now()
    return world.call_log.since(int(data.get("since", 0)))


def instances(world: World, data: Data) -> Any:
    """What exists, of one account or of all; with `past`, also what existed."""
    now = world.now()
    rows = (*world.instances.values(), *(world.past if data.get("past") else ()))
    return [
        {**asdict(row), "running": row.running_seconds(now), "files": [f.path for f in world.files.within(row.id, "")]}
        for row in rows
        if data.get("account") in (None, row.account)
    ]


def console(world: World, data: Data) -> Any:
    """What an account's owner does in the cloud's own console: `stop`, `delete`, or `status` for any status at all."""
    now, instance = world.now(), _instance(world, data)
    if data["act"] == "stop" and instance.status not in UNSTOPPABLE:
        instance.change("Stopping", now)
    elif data["act"] == "delete":
        instance.held = False
        instance.change("Deleting", now)
    elif data["act"] == "status":
        instance.held = data.get("held", True)
        instance.change(data["status"], now)
        instance.reason = (data.get("code", ""), data.get("message", ""))
    elif data["act"] == "fail":
        boot_fails(instance, data["code"], data["message"], now)
    elif data["act"] == "use":
        instance.used = now
    return {"status": instance.status}


def quirk(world: World, data: Data) -> Any:
    """Change how the cloud behaves where nobody knows; also `skew` in seconds, `source_ip`, `gates`, `pace`."""
    for key, value in data.items():
        if key == "skew":
            world.skew = timedelta(seconds=value)
        elif key in ("source_ip", "gates"):
            setattr(world, key, value)
        elif key == "pace":
            world.pace = Pace(boot=tuple(value["boot"]), stop=value["stop"], delete=value["delete"])
        elif hasattr(world.behavior, key):
            setattr(world.behavior, key, bool(value))
        else:
            raise ValueError(f"no such setting: {key}")
    return {}


def bill(world: World, data: Data) -> Any:
    """What an account owes: the exact sum as a string, and its lines."""
    return {"total": str(world.owes(data["account"])), "lines": [asdict(line) for line in world.bill(data["account"])]}


def expire_sessions(world: World, _data: Data) -> Any:
    """Every session of every role ends now."""
    now, sessions = world.now(), world.directory.sessions
    for key, session in sessions.items():
        sessions[key] = replace(session, expires=now)
    return {}


def secrets(world: World, _data: Data) -> Any:
    """Every secret of this cloud, so that a test can look for them where they must not be. None opens anything real."""
    directory = world.directory
    return [
        *(key.secret for key in directory.keys.values()),
        *(part for session in directory.sessions.values() for part in (session.secret, session.token)),
        *world.access_tokens.all(),
        world.password,
    ]


EVERYTHING: tuple[Command, ...] = (
    advance,
    speed,
    account,
    accounts,
    role,
    drop_role,
    shape,
    fault,
    clear_faults,
    requests,
    instances,
    console,
    quirk,
    bill,
    expire_sessions,
    secrets,
)
COMMANDS: dict[str, Command] = {command.__name__: command for command in EVERYTHING}


def _account(world: World, known: Account) -> dict[str, Any]:
    return {**asdict(known), "owes": str(world.owes(known.id))}


def _instance(world: World, data: Data) -> Instance:
    for instance in world.instances.values():
        if data["instance"] in (instance.id, instance.name):
            return instance
    raise ValueError(f"no instance {data['instance']}")
