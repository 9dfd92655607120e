"""Steers the stand-in cloud from tests: in this process, or over HTTP, as a demonstration does it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spawner.demo_cloud import control
from spawner.demo_cloud.server import Served, serving
from spawner.demo_cloud.settings import ACCOUNTS, PRINCIPAL, Endpoints, Keys, Options

ADA, LI = (account for account, _ in ACCOUNTS)
HANGZHOU, SHANGHAI = "cn-hangzhou", "cn-shanghai"
ROLE_NAME = "FreepoolPaid"
JSON = {"Content-Type": "application/json", "Connection": "close"}
QUICK = {"boot": [0.3, 0.3, 0.3, 0.3], "stop": 0.3, "delete": 0.3}
"""Seconds that an instance takes for each step, for tests that wait for it in real time."""
STANDSTILL = {"boot": [3600, 3600, 3600, 3600], "stop": 3600, "delete": 3600}
"""Whatever an instance is doing, it goes on doing, for tests that look at it meanwhile."""


class Refused(Exception):
    """The cloud did not understand what it was told."""


@dataclass(frozen=True)
class Call:
    """One call that the cloud has seen; see `spawner.demo_cloud.call_log.Call`."""

    number: int
    at: str
    service: str
    region: str
    action: str
    mutates: bool
    done: bool
    status: int
    code: str
    account: str
    principal: str
    subject: str
    fault: str
    params: Mapping[str, Any]


class Steer:
    """One stand-in. `endpoints` and `keys` are what Freepool's settings need.

    `run`: runs a command of a stand-in of this process, which is ten times as fast as over HTTP.
    """

    def __init__(self, endpoints: Endpoints, keys: Keys, run: Callable[[str, str], str] | None = None) -> None:
        self.endpoints, self.keys = endpoints, keys
        self._run = run

    def ask(self, command: str, **data: Any) -> Any:
        """One command of `spawner.demo_cloud.control`."""
        if self._run is not None:
            try:
                return json.loads(self._run(command, json.dumps(data)))
            except control.MISTAKES as error:
                raise Refused(f"{command}: {type(error).__name__}: {error}") from error
        # Tests ask thousands of times, and a session of `requests` takes ten times as long as this.
        with closing(HTTPConnection(urlsplit(self.endpoints.main).netloc, timeout=30)) as connection:
            connection.request("POST", f"/demo/admin/{command}", json.dumps(data), JSON)
            answer = connection.getresponse()
            text = answer.read().decode()
        result = json.loads(text) if text.startswith(("{", "[")) else {"error": text}
        if answer.status != 200:
            raise Refused(f"{command}: {result['error']}")
        return result

    # -- time and money

    def advance(self, seconds: float) -> None:
        """Move the cloud's time on."""
        self.ask("advance", seconds=seconds)

    def owes(self, account: str = ADA) -> Decimal:
        """What an account owes by now, exactly."""
        return Decimal(self.ask("bill", account=account)["total"])

    def instance_type(self, name: str, *, region: str | None = None, **changes: Any) -> None:
        """Change `price`, `available` or `currency` of an instance type."""
        self.ask("shape", id=name, **({"region": region} if region else {}), **changes)

    # -- accounts and roles

    def account(self, account: str = ADA, **changes: Any) -> None:
        """Make or change an account."""
        self.ask("account", id=account, **changes)

    def role(
        self,
        external_id: str | None,
        *,
        account: str = ADA,
        name: str = ROLE_NAME,
        actions: Sequence[str] = ("paidsw:*", "paiworkspace:*"),
        permissions: Mapping[str, Any] | None = None,
        trust: Mapping[str, Any] | None = None,
        principal: str = PRINCIPAL,
    ) -> str:
        """A role as its owner would make it; its ARN. `external_id` None: a trust policy without that condition."""
        condition = {} if external_id is None else {"Condition": {"StringEquals": {"sts:ExternalId": external_id}}}
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": [principal]}, **condition}
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        return str(
            self.ask(
                "role",
                account=account,
                name=name,
                trust=trust or {"Version": "1", "Statement": [statement]},
                permissions=permissions or {"Version": "1", "Statement": [allowed]},
            )["arn"]
        )

    def drop_role(self, arn: str) -> None:
        """Its owner takes the role away."""
        self.ask("drop_role", arn=arn)

    def expire_sessions(self) -> None:
        """Every session ends now."""
        self.ask("expire_sessions")

    # -- luck

    def fault(self, action: str, kind: str, **more: Any) -> None:
        """See `spawner.demo_cloud.faults`: `times`, `seconds`, `status`, `code`, `message`, `account`, `url`."""
        self.ask("fault", action=action, kind=kind, **more)

    def clear_faults(self) -> None:
        """Nothing goes wrong any more."""
        self.ask("clear_faults")

    def quirk(self, **changes: Any) -> None:
        """See `spawner.demo_cloud.world.Behavior`; also `skew`, `source_ip`, `pace`."""
        self.ask("quirk", **changes)

    # -- what is there, and what was asked

    def instances(self, account: str | None = None, *, past: bool = False) -> list[dict[str, Any]]:
        """What exists, everywhere; with `past` what existed, too."""
        return list(self.ask("instances", past=past, **({"account": account} if account else {})))

    def instance(self, name_or_id: str) -> dict[str, Any]:
        """One that exists, or existed."""
        return next(i for i in self.instances(past=True) if name_or_id in (i["id"], i["name"]))

    def console(self, instance: str, act: str, **more: Any) -> None:
        """Its owner does something in the cloud's own console: `stop`, `delete`, `status`, `fail`, `use`."""
        self.ask("console", instance=instance, act=act, **more)

    def calls(self, *, since: int = 0, action: str | None = None, mutates: bool | None = None) -> list[Call]:
        """What the cloud was asked, in order."""
        calls = [Call(**call) for call in self.ask("requests", since=since)]
        return [
            call for call in calls if action in (None, call.action) and (mutates is None or call.mutates is mutates)
        ]

    def mutations(self, *, since: int = 0) -> list[Call]:
        """Calls that change something, whether they succeeded or not."""
        return self.calls(since=since, mutates=True)

    def last(self) -> int:
        """The number of the latest call, for `since`."""
        return max((call.number for call in self.calls()), default=0)


def steer_beside(state: Path) -> Steer:
    """The stand-in that `freepool up --demo-cloud` has started for this state folder, made quick."""
    steer = steer_of(state / "demo-cloud" / "demo-cloud.json")
    steer.quirk(pace=QUICK)
    return steer


def steer_of(told: Path) -> Steer:
    """A stand-in by the file in which it says where it is, and with which keys."""
    fields = json.loads(told.read_text())
    endpoints = Endpoints(**{name: fields[name] for name in Endpoints.__dataclass_fields__})
    return Steer(endpoints, Keys(**{name: fields[name] for name in Keys.__dataclass_fields__}))


START_SECONDS = 30


@contextlib.contextmanager
def cloud_in_thread(**options: Any) -> Iterator[Steer]:
    """A stand-in in a thread of this process. Its time stands still unless `speed` says otherwise."""
    ready = threading.Event()
    made: list[tuple[Served, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        async with serving(Options(**{"speed": 0.0, **options})) as served:
            made.append((served, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="demo-cloud", daemon=True)
    thread.start()
    if not ready.wait(START_SECONDS) or not made:
        raise RuntimeError("the stand-in cloud did not start")
    (served, loop, stop) = made[0]

    async def command(name: str, data: str) -> str:
        return control.run(served.world, name, data)

    def run(name: str, data: str) -> str:
        return asyncio.run_coroutine_threadsafe(command(name, data), loop).result(START_SECONDS)

    try:
        yield Steer(served.endpoints, served.keys, run)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS)


@contextlib.contextmanager
def cloud_process(state: Path, *, speed: float = 0.0, port: int = 0) -> Iterator[Steer]:
    """A stand-in in a process of its own, as `freepool demo-cloud` runs it."""
    where = state / "demo-cloud.json"
    where.unlink(missing_ok=True)
    command = [sys.executable, "-m", "spawner.demo_cloud", f"--port={port}", f"--speed={speed}", f"--state={state}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not where.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the stand-in cloud did not start")
            time.sleep(0.02)  # a file is not an event
        yield steer_of(where)
    finally:
        process.terminate()
        process.wait(30)
