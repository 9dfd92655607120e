"""Commands by which tests and demonstrations control the cloud: time, accounts, roles, prices, faults, call log.

A command is a POST of JSON to `/demo/admin/NAME`; the response is JSON. Pages of other origins cannot send one: its
content type requires a CORS preflight, which is never allowed.
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
MISTAKES = (ApiError, BadPolicy, KeyError, TypeError, ValueError)


def add_routes(application: web.Application, world: World) -> None:
    """Add the route of the commands."""

    async def handle(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in COMMANDS or request.content_type != "application/json":
            raise web.HTTPNotFound
        try:
            result = run(world, name, await request.text())
        except MISTAKES as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.Response(text=result, content_type="application/json")

    application.router.add_post("/demo/admin/{name}", handle)


def run(world: World, name: str, data: str) -> str:
    """The result of one of `COMMANDS`, as JSON. `data` is JSON, too.

    :raises ApiError, BadPolicy, KeyError, TypeError, ValueError: what `MISTAKES` lists, where the data are wrong
    """
    return json.dumps(COMMANDS[name](world, json.loads(data)), default=str)


def advance(world: World, data: Data) -> Any:
    """Advance the clock by `seconds`."""
    world.now()
    world.clock.advance(float(data["seconds"]))
    return {"now": world.now().isoformat()}


def speed(world: World, data: Data) -> Any:
    """Set the clock's speed."""
    world.clock.speed = float(data["speed"])
    return {"now": world.now().isoformat()}


def account(world: World, data: Data) -> Any:
    """Create or change an account: name, workspaces, sufficient, activated, sees_own."""
    customer = world.directory.accounts.get(data["id"]) or world.directory.add(data["id"], data.get("name", data["id"]))
    for key in data.keys() & {"name", "workspaces", "sufficient", "activated", "sees_own"}:
        setattr(customer, key, data[key])
    return _account(world, customer)


def accounts(world: World, _data: Data) -> Any:
    """All accounts with their roles and amounts owed."""
    return [_account(world, customer) for customer in world.directory.accounts.values()]


def role(world: World, data: Data) -> Any:
    """Create or replace a role."""
    created = world.directory.put_role(
        data["account"], data["name"], data["trust"], data["permissions"], int(data.get("max_session", 3600))
    )
    return {"arn": created.arn}


def drop_role(world: World, data: Data) -> Any:
    """Delete a role."""
    world.directory.drop_role(data["arn"])
    return {}


def shape(world: World, data: Data) -> Any:
    """Change price, availability or currency of an instance type, in one region or in all."""
    for region in [data["region"]] if "region" in data else world.regions:
        instance_type = world.regions[region][data["id"]]
        if "price" in data:
            instance_type.price = None if data["price"] is None else Decimal(str(data["price"]))
        for key in data.keys() & {"available", "currency"}:
            setattr(instance_type, key, data[key])
    return {}


def fault(world: World, data: Data) -> Any:
    """Inject a fault into the next calls of an action."""
    world.faults.add(dict(data))
    return {}


def clear_faults(world: World, _data: Data) -> Any:
    """Remove all pending faults."""
    world.faults.waiting.clear()
    return {}


def requests(world: World, data: Data) -> Any:
    """The logged calls with numbers above `since`."""
    world.now()
    return world.call_log.since(int(data.get("since", 0)))


def instances(world: World, data: Data) -> Any:
    """Instances of one account or of all; with `past`, also deleted ones."""
    now = world.now()
    rows = (*world.instances.values(), *(world.past if data.get("past") else ()))
    return [
        {**asdict(row), "running": row.running_seconds(now), "files": [f.path for f in world.files.within(row.id, "")]}
        for row in rows
        if data.get("account") in (None, row.account)
    ]


def console(world: World, data: Data) -> Any:
    """An action in the cloud's console: `stop` or `delete`; or set `status`, `fail` the boot, `use` it."""
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
    """Change undocumented behaviour (`Behavior`), or `skew` in seconds, `source_ip`, `gates`, `pace`."""
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
    """An account's bill: the exact sum as a string, and its lines."""
    return {"total": str(world.owes(data["account"])), "lines": [asdict(line) for line in world.bill(data["account"])]}


def expire_sessions(world: World, _data: Data) -> Any:
    """Expire all sessions of all roles."""
    now, sessions = world.now(), world.directory.sessions
    for key, session in sessions.items():
        sessions[key] = replace(session, expires=now)
    return {}


def secrets(world: World, _data: Data) -> Any:
    """All secrets of this cloud, so that tests can search for leaks. They are valid nowhere else."""
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


def _account(world: World, customer: Account) -> dict[str, Any]:
    return {**asdict(customer), "owes": str(world.owes(customer.id))}


def _instance(world: World, data: Data) -> Instance:
    for instance in world.instances.values():
        if data["instance"] in (instance.id, instance.name):
            return instance
    raise ValueError(f"no instance {data['instance']}")
