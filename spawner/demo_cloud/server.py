"""The demo cloud's HTTP servers: one port per region's API, and one for console, OAuth and control commands."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Middleware

from spawner.demo_cloud import control, settings
from spawner.demo_cloud.api.gateway import Gateway
from spawner.demo_cloud.clock import Clock
from spawner.demo_cloud.pages import own_forms_only
from spawner.demo_cloud.settings import Endpoints, Keys, Options
from spawner.demo_cloud.web.console import Console
from spawner.demo_cloud.web.jupyter import JupyterEndpoints
from spawner.demo_cloud.web.oauth import OAuth
from spawner.demo_cloud.web.ros import Stacks
from spawner.demo_cloud.world import World, price_list

LARGEST_BODY = 256 * 1024 * 1024


class Served(NamedTuple):
    """A cloud that answers."""

    endpoints: Endpoints
    keys: Keys
    world: World


def new_world(options: Options, keys: Keys) -> World:
    """A cloud with the platform's key and some customers without roles or instances."""
    world = World(Clock(options.start, speed=options.speed), {region: price_list() for region in options.regions})
    world.directory.add_key(settings.PRINCIPAL, key_id=keys.access_key_id, secret=keys.access_key_secret)
    for account_id, name in settings.ACCOUNTS:
        world.directory.add(account_id, name)
    return world


@contextlib.asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Served]:
    """Serve until the block ends."""
    keys = options.keys or settings.new_keys()
    world = new_world(options, keys)
    runners: list[web.AppRunner] = []
    try:
        main = _application(own_forms_only)
        control.add_routes(main, world)
        for part in (Console(world), Stacks(world), JupyterEndpoints(world)):
            part.add_routes(main)
        oauth = OAuth(world, keys)
        oauth.add_routes(main)
        first = Gateway(world, options.regions[0])
        main.router.add_route("POST", "/", first.handle)
        main.router.add_route("*", "/api/{rest:.*}", first.handle)
        host = await _listen(main, options, options.port, runners)
        base = options.public or f"http://{host}"
        world.gates, oauth.issuer = f"{base}/gate", base
        endpoints = {}
        for number, region in enumerate(options.regions):
            regional = _application()
            regional.router.add_route("*", "/{rest:.*}", Gateway(world, region).handle)
            endpoints[region] = await _listen(regional, options, options.port and options.port + 1 + number, runners)
        yield Served(Endpoints(main=base, sts=host, regions=endpoints, gates=world.gates), keys, world)
    finally:
        for runner in runners:
            await runner.cleanup()


def _application(*middlewares: Middleware) -> web.Application:
    return web.Application(client_max_size=LARGEST_BODY, middlewares=middlewares)


async def _listen(application: web.Application, options: Options, port: int, runners: list[web.AppRunner]) -> str:
    """Start listening; returns `host:port`."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    runners.append(runner)
    site = web.TCPSite(runner, options.address, port)
    await site.start()
    return f"{options.address}:{runner.addresses[0][1]}"
