"""The cloud's console for demonstrations: pages where customers act without Freepool."""

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
    """Pages without a login: every visitor can act as any customer, because this is only a demonstration."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, application: web.Application) -> None:
        """Add the routes of pages and forms."""
        router = application.router
        router.add_get("/", self.home)
        router.add_post("/console/time", self.time)
        router.add_get("/console/{account}", self.account)
        router.add_post("/console/{account}/roles", self.put_role)
        router.add_post("/console/{account}/roles/drop", self.drop_role)
        router.add_post("/console/{account}/instances/{instance}/{act}", self.act)

    async def home(self, _request: web.Request) -> web.Response:
        """Customers, the clock, and the latest API calls."""
        now = self._world.now()
        return page(
            "home.html",
            note=NOTE,
            now=now,
            speed=self._world.clock.speed,
            accounts=[(account, self._world.owes(account.id)) for account in self._world.directory.accounts.values()],
            calls=list(self._world.call_log)[-20:][::-1],
        )

    async def time(self, request: web.Request) -> web.Response:
        """Advance the clock or set its speed."""
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
        """A customer's roles, instances and bill."""
        account, now = self._account(request), self._world.now()
        rows = [row for row in self._world.instances.values() if row.account == account.id]
        return page(
            "account.html",
            account=account,
            now=now,
            instances=[(row, sum(line.amount for line in lines(row, now))) for row in rows],
            stoppable=[row.id for row in rows if row.status not in UNSTOPPABLE],
            deletable=[row.id for row in rows if row.status in DELETABLE],
            roles=list(account.roles.values()),
            owes=self._world.owes(account.id),
            bill=self._world.bill(account.id),
        )

    async def put_role(self, request: web.Request) -> web.Response:
        """Create or replace a role from two pasted documents."""
        account, form = self._account(request), await request.post()
        try:
            self._world.directory.put_role(account.id, str(form["name"]), str(form["trust"]), str(form["permissions"]))
        except (BadPolicy, KeyError) as error:
            return page("problem.html", status=400, text=f"That role cannot be made: {error}")
        raise web.HTTPSeeOther(f"/console/{account.id}")

    async def drop_role(self, request: web.Request) -> web.Response:
        """Delete a role."""
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
    """Stop or delete if the instance's state allows it; else do nothing: the page may be outdated."""
    if act == "stop" and instance.status not in UNSTOPPABLE:
        instance.held = False
        instance.change("Stopping", now)
    elif act == "delete" and instance.status in DELETABLE:
        instance.held = False
        instance.change("Deleting", now)
