"""Resource Orchestration Service: create a role from a template, by one link."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml
from aiohttp import web

from spawner.demo_cloud import policy
from spawner.demo_cloud.pages import page
from spawner.demo_cloud.world import World

LARGEST_TEMPLATE = 1024 * 1024
SECONDS = 10


@dataclass(frozen=True)
class PlannedRole:
    """A role that a template describes."""

    name: str
    trust: dict[str, Any]
    permissions: dict[str, Any]
    max_session: int


class Stacks:
    """ASSUMED: the link's parameters, `templateUrl` and `parameters` (JSON)."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, application: web.Application) -> None:
        """Add the routes of the page and its form."""
        application.router.add_get("/ros/{region}/stacks/create", self.ask)
        application.router.add_post("/ros/{region}/stacks/create", self.make)

    async def ask(self, request: web.Request) -> web.Response:
        """Show the role that would be created, and ask for the account."""
        try:
            planned = await plan(request.query)
        except ValueError as error:
            return page("problem.html", status=400, text=f"The template cannot be used: {error}")
        return page(
            "stack.html",
            role=planned,
            accounts=list(self._world.directory.accounts.values()),
            query=dict(request.query),
        )

    async def make(self, request: web.Request) -> web.Response:
        """Create the role."""
        form = {key: str(value) for key, value in (await request.post()).items()}
        if form.get("account") not in self._world.directory.accounts:
            return page("problem.html", status=400, text="There is no such account.")
        try:
            planned = await plan(form)
        except ValueError as error:
            return page("problem.html", status=400, text=f"The template cannot be used: {error}")
        role = self._world.directory.put_role(
            form["account"], planned.name, planned.trust, planned.permissions, planned.max_session
        )
        return page("stack_made.html", role=role, account=form["account"])


async def plan(query: Mapping[str, str]) -> PlannedRole:
    """Read the only role of the template. Raises `ValueError` with the reason if the template is invalid."""
    parameters = json.loads(query.get("parameters") or "{}")
    template = yaml.safe_load(await _fetch(query.get("templateUrl", "")))
    if not isinstance(template, dict) or template.get("ROSTemplateFormatVersion") != "2015-09-01":
        raise ValueError("ROSTemplateFormatVersion must be 2015-09-01")
    missing = template.get("Parameters", {}).keys() - parameters.keys()
    if missing:
        raise ValueError(f"it needs {', '.join(sorted(missing))}")
    resources = _resolve(template.get("Resources", {}), parameters)
    roles = [resource["Properties"] for resource in resources.values() if resource["Type"] == "ALIYUN::RAM::Role"]
    if len(roles) != 1:
        raise ValueError("it must make one ALIYUN::RAM::Role")
    statements = [statement for each in roles[0]["Policies"] for statement in each["PolicyDocument"]["Statement"]]
    return PlannedRole(
        name=roles[0]["RoleName"],
        trust=policy.parse(roles[0]["AssumeRolePolicyDocument"]),
        permissions=policy.parse({"Version": "1", "Statement": statements}),
        max_session=int(roles[0].get("MaxSessionDuration", 3600)),
    )


async def _fetch(url: str) -> str:
    """Download a template. Raises `ValueError` unless the URL is at a loopback address."""
    host = urlsplit(url).hostname or ""
    if host != "localhost" and not (_is_ip(host) and ipaddress.ip_address(host).is_loopback):
        raise ValueError("templateUrl must be on this machine")
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"templateUrl answers {answer.status}")
            return (await answer.content.read(LARGEST_TEMPLATE)).decode()
    except (TimeoutError, aiohttp.ClientError) as error:
        raise ValueError(f"templateUrl cannot be read: {type(error).__name__}") from None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _resolve(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Replace every `{Ref: parameter}` by its value."""
    if isinstance(value, dict):
        if set(value) == {"Ref"} and value["Ref"] in parameters:
            return parameters[value["Ref"]]
        return {key: _resolve(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, parameters) for item in value]
    return value
