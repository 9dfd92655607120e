"""The cloud's own console, for a demonstration: what a customer sees and does there without Freepool."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from spawner.demo_cloud.accounts import Account
from spawner.demo_cloud.notebooks.billing import lines
from spawner.demo_cloud.notebooks.instance import DELETABLE, UNSTOPPABLE, Instance
from spawner.demo_cloud.pages import page
from spawner.demo_cloud.policy import BadPolicy
from spawner.demo_cloud.settings import NOTE
from spawner.demo_cloud.world import World

LONGEST_STEP = 31 * 24 * 3600
FASTEST = 3600


class Console:
    """Anybody may be any customer here: it is a demonstration on one's own machine."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, application: web.Application) -> None:
        """Its pages, and the forms on them."""
        router = application.router
        router.add_get("/", self.home)
        router.add_post("/console/time", self.time)
        router.add_get("/console/{account}", self.account)
        router.add_post("/console/{account}/roles", self.put_role)
        router.add_post("/console/{account}/roles/drop", self.drop_role)
        router.add_post("/console/{account}/instances/{instance}/{act}", self.act)

    async def home(self, _request: web.Request) -> web.Response:
        """Customers, time, and what was asked of the cloud last."""
        now = self._world.now()
        return page(
            "home.html",
            note=NOTE,
            now=now,
            speed=self._world.clock.speed,
            accounts=[(one, self._world.owes(one.id)) for one in self._world.directory.accounts.values()],
            calls=list(self._world.call_log)[-20:][::-1],
        )

    async def time(self, request: web.Request) -> web.Response:
        """Move time on, or set its pace."""
        form = await request.post()
        try:
            seconds, speed = float(str(form.get("advance", 0))), float(str(form.get("speed", self._world.clock.speed)))
        except ValueError:
            return page("problem.html", status=400, text="That is not a number.")
        if not 0 <= seconds <= LONGEST_STEP or not 0 <= speed <= FASTEST:
            return page("problem.html", status=400, text="That is too far, or too fast.")
        self._world.now()
        self._world.clock.advance(seconds)
        self._world.clock.speed = speed
        raise web.HTTPSeeOther("/")

    async def account(self, request: web.Request) -> web.Response:
        """One customer's roles, instances and bill."""
        account, now = self._account(request), self._world.now()
        rows = [one for one in self._world.instances.values() if one.account == account.id]
        return page(
            "account.html",
            account=account,
            now=now,
            instances=[(one, sum(line.amount for line in lines(one, now))) for one in rows],
            stoppable=[one.id for one in rows if one.status not in UNSTOPPABLE],
            deletable=[one.id for one in rows if one.status in DELETABLE],
            roles=list(account.roles.values()),
            owes=self._world.owes(account.id),
            bill=self._world.bill(account.id),
        )

    async def put_role(self, request: web.Request) -> web.Response:
        """A role from two documents, as one pastes them."""
        account, form = self._account(request), await request.post()
        try:
            self._world.directory.put_role(account.id, str(form["name"]), str(form["trust"]), str(form["permissions"]))
        except (BadPolicy, KeyError) as error:
            return page("problem.html", status=400, text=f"That role cannot be made: {error}")
        raise web.HTTPSeeOther(f"/console/{account.id}")

    async def drop_role(self, request: web.Request) -> web.Response:
        """Take a role away."""
        account, form = self._account(request), await request.post()
        account.roles.pop(str(form.get("arn", "")), None)
        raise web.HTTPSeeOther(f"/console/{account.id}")

    async def act(self, request: web.Request) -> web.Response:
        """Stop or delete an instance."""
        account, now = self._account(request), self._world.now()
        instance = self._world.instances.get(request.match_info["instance"])
        if instance is None or instance.account != account.id:
            raise web.HTTPNotFound
        _apply(instance, request.match_info["act"], now)
        raise web.HTTPSeeOther(f"/console/{account.id}")

    def _account(self, request: web.Request) -> Account:
        account = self._world.directory.accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account


def _apply(instance: Instance, act: str, now: Any) -> None:
    """As far as the instance's state allows it; else nothing happens, as when a page was open for too long."""
    if act == "stop" and instance.status not in UNSTOPPABLE:
        instance.held = False
        instance.change("Stopping", now)
    elif act == "delete" and instance.status in DELETABLE:
        instance.held = False
        instance.change("Deleting", now)
