"""A whole Freepool for tests: the real `freepool up` in a state folder of its own, and a client that talks to it."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import yaml

from spawner.hub.login.link import login_link
from spawner.ledger import Instance, Ledger, Slot, open_ledger
from spawner.ledger.people import people
from spawner.ledger.pool import instances, slots
from spawner.local import preflight
from spawner.settings import Settings, load_settings

PROJECT = Path(__file__).parent.parent
READY = re.compile(r"Freepool is ready .* Open: (\S+)")
PATIENCE = 3
"""Times the seconds that a machine may take which does nothing else: this one runs other tests, too."""
ROOMY = {name: {"burst": 20_000, "per_minute": 20_000} for name in ("start_by_address", "api_by_address")}
"""Rate limits of stacks for tests, which are all one address. Those of logins and of people are the defaults."""
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that speak plain HTTP. httpx would otherwise read all certificates of the web (30 ms for each client)."""
T = TypeVar("T")


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def local_settings(file: Path, **changes: Any) -> Path:
    """Write a settings file for `freepool up`: hub_config/local.yaml, its paths made absolute, with changes."""
    local = yaml.safe_load((PROJECT / "hub_config" / "local.yaml").read_text())
    paths = {name: str((PROJECT / "hub_config" / local[name]).resolve()) for name in preflight.PATHS}
    file.write_text(yaml.safe_dump({**local, **paths, "rate_limits": ROOMY, **changes}))
    return file


def client_without_memory() -> httpx.Client:
    """An HTTP client for requests that know nothing of each other: it keeps no cookie and no connection.

    One serves many threads and many users, and a server that was restarted meets no connection of the one before.
    """
    return httpx.Client(
        verify=NO_TLS,
        timeout=60,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
    )


class ByName(httpx.HTTPTransport):
    """Resolves every name below localhost to 127.0.0.1, as a browser does."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        there = request.url
        if there.host.endswith(".localhost"):
            there = there.copy_with(host="127.0.0.1")
        sent = httpx.Request(
            request.method, there, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return super().handle_request(sent)


def browser_client(*, follow_redirects: bool = True) -> httpx.Client:
    """A client with cookies that goes from host to host, as a browser does."""
    return httpx.Client(transport=ByName(verify=NO_TLS), follow_redirects=follow_redirects, timeout=60)


def eventually(look: Callable[[], T], *, seconds: float = 20, what: str = "it") -> T:
    """The first true value of `look`, or a failure that says what did not come in thrice the time."""
    began = time.monotonic()
    while True:
        found = look()
        if found:
            return found
        waited = time.monotonic() - began
        if waited > seconds * PATIENCE:
            raise AssertionError(f"{what} did not come within {seconds * PATIENCE} s")
        time.sleep(min(0.05 + waited / 20, 0.25))  # looks cost what they wait for its processor time


def write_catalog(path: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """The project's own catalog, changed for one test."""
    data = yaml.safe_load((PROJECT / "hub_config" / "catalog.yaml").read_text())
    data["limits"]["replenish_after_seconds"] = 0.2
    for flavor in data["flavors"]:  # tests come in crowds, and shall not be met with more slots than they know of
        if "warm" in flavor:
            flavor["warm"] = flavor["warm"]["floor"]
    if change:
        change(data)
    path.write_text(yaml.safe_dump(data, allow_unicode=True))
    return path


@dataclass
class Stack:
    """A running Freepool. `token` is the automation token."""

    state: Path
    port: int
    token: str
    process: subprocess.Popen[str]
    link: str = ""
    output: list[str] = field(default_factory=list)
    http: httpx.Client = field(init=False)
    """For requests that know nothing of each other."""
    ledger: Ledger = field(init=False)
    """The ledger that the stack uses."""

    @cached_property
    def url(self) -> str:
        return self.settings.public_url.rstrip("/")

    @cached_property
    def settings(self) -> Settings:
        """As they were when the stack started."""
        return load_settings(self.state / "settings.json")

    def link_for(self, user: str) -> str:
        """A link that logs `user` in."""
        return login_link(self.settings.public_url, self.settings.secret("link"), user)

    def api(self, method: str, path: str, *, token: str | None = None, **kwargs: Any) -> httpx.Response:
        """JupyterHub's REST API, by default with the automation token."""
        headers = {"Authorization": f"token {token or self.token}"}
        return self.http.request(method, f"{self.url}/hub/api{path}", headers=headers, **kwargs)

    def add_user(self, name: str) -> None:
        """Make a JupyterHub user, if it is not there."""
        assert self.api("POST", f"/users/{quote(name, safe='')}").status_code in (201, 409)

    def start(self, user: str, **options: Any) -> httpx.Response:
        """POST /users/USER/server with user_options."""
        return self.api("POST", f"/users/{quote(user, safe='')}/server", json=options or None)

    def run(self, user: str, **options: Any) -> Instance:
        """Start the user's server, and wait until it is ready. A busy machine answers 202 before it is."""
        answer = self.start(user, **options)
        assert answer.status_code in (201, 202), answer.text
        path = f"/users/{quote(user, safe='')}"
        eventually(lambda: self.api("GET", path).json()["servers"].get("", {}).get("ready"), seconds=60, what="it")
        return next(instance for instance in self.unended() if instance.user_name == user)

    def stop(self, user: str) -> httpx.Response:
        """DELETE /users/USER/server, and wait until the wipe that it begins is over."""
        answer = self.api("DELETE", f"/users/{quote(user, safe='')}/server")
        eventually(
            lambda: not any(instance.user_name == user and instance.state == "stopping" for instance in self.unended()),
            seconds=60,
            what="the end of the wipe",
        )
        return answer

    def user_token(self, user: str) -> str:
        """An API token of a user, with all that the user may do."""
        answer = self.api("POST", f"/users/{quote(user, safe='')}/tokens", json={"note": "test"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def person_of(self, user: str) -> str:
        """The id of the person whom JupyterHub has under a name now, or had last; empty where the ledger has none."""
        return next((person.id for person in self.ledger.read(people.of_name, user)), "")

    def desk(self, method: str, path: str, *, token: str, **kwargs: Any) -> httpx.Response:
        """The desk's API with a user's token."""
        headers = {"Authorization": f"token {token}"} | kwargs.pop("headers", {})
        return self.http.request(method, f"{self.url}/services/desk/{path}", headers=headers, **kwargs)

    def leave_line(self, user: str) -> None:
        """Give up the place in line."""
        answer = self.desk("POST", "api/ticket/cancel", token=self.user_token(user), json={})
        assert answer.status_code == 200, answer.text

    def unended(self) -> list[Instance]:
        """Loans that are not over."""
        return self.ledger.read(instances.unended)

    def slots(self) -> list[Slot]:
        """Slots that take up room, as the ledger has them."""
        return self.ledger.read(slots.occupying)

    def slot_folders(self) -> set[str]:
        """Slots that exist, as the operating system has them."""
        return {path.name for path in self.settings.slots_dir.iterdir() if not path.name.startswith(".")}

    def wait_warm(self, count: int = 1) -> None:
        """Wait until so many slots wait, started."""
        eventually(
            lambda: sum(s.state == "warm" for s in self.slots()) >= count, seconds=60, what=f"{count} warm slots"
        )

    def pids(self, name: str) -> list[int]:
        """Process ids of `proxy`, `hub`, `desk` or `steward` of this stack, however the supervisor started them."""
        marks = {"proxy": "front.js", "hub": "jupyterhub", "desk": "desk", "steward": "steward"}
        found = []
        for entry in _children(self.process.pid):
            if _comm(entry) == "forkserver":
                found += [child for child in _children(entry) if _comm(child) == name]
            elif any(marks[name] in Path(word).name for word in _words(entry)):
                found.append(entry)
        return found

    def kill(self, name: str) -> None:
        """kill -9 one of the four."""
        for pid in self.pids(name):
            os.kill(pid, signal.SIGKILL)

    def log(self, name: str) -> str:
        """What one of the four has printed."""
        return (self.state / "logs" / f"{name}.log").read_text(errors="replace")

    def end(self) -> None:
        """Ctrl-C, and wait: a cluster needs a while to end many pods."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(180)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _words(pid: int) -> list[str]:
    """How a command line begins, without the proxy's options, which name the others."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:5]
    except OSError:
        return []
    return [word for word in words if not word.startswith("{")]


STACKS: list[Stack] = []
"""What runs in this process, and what has ended in the test that runs now: a failure shows their logs."""


@contextmanager
def running_stack(
    state: Path,
    *,
    catalog: Path | None = None,
    ledger_url: str | None = None,
    settings: Path | None = None,
    arguments: tuple[str, ...] = (),
    port: int = 0,
) -> Iterator[Stack]:
    """Run `freepool up`; end it afterwards."""
    port, token = port or free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "spawner.cli", "up", "--port", str(port), "--state", str(state), *arguments]
    if settings:
        command += ["--settings", str(settings)]
    if catalog:
        command += ["--catalog", str(catalog)]
    if ledger_url:
        command += ["--ledger", ledger_url]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env={**os.environ, "FREEPOOL_API_TOKEN": token},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stack = Stack(state, port, token, process)
    STACKS.append(stack)
    try:
        stack.link = _wait_ready(stack)
        with client_without_memory() as stack.http, closing(open_ledger(stack.settings.ledger)) as stack.ledger:
            yield stack
    finally:
        stack.end()
        if process.stdout:
            stack.output += process.stdout.read().splitlines()
            process.stdout.close()


def _wait_ready(stack: Stack) -> str:
    assert stack.process.stdout is not None
    for line in stack.process.stdout:
        stack.output.append(line.rstrip())
        found = READY.search(line)
        if found:
            return found.group(1)
    raise AssertionError("freepool up ended:\n" + "\n".join(stack.output))


@contextmanager
def stack_with_demo_cloud() -> Iterator[Stack]:
    """A Freepool with the stand-in cloud beside it.

    `cpu-large` can be had once, so that two people are enough for a line. One person may start as often as they like.
    """

    def change(data: dict[str, Any]) -> None:
        large = next(flavor for flavor in data["flavors"] if flavor["id"] == "cpu-large")
        large["limit"] = 1

    with tempfile.TemporaryDirectory(prefix="freepool-") as place:
        folder = Path(place)
        limits = ROOMY | {"start_by_person": ROOMY["start_by_address"]}
        settings = local_settings(folder / "settings.yaml", rate_limits=limits)
        catalog = write_catalog(folder / "catalog.yaml", change)
        with running_stack(folder / "s", catalog=catalog, settings=settings, arguments=("--demo-cloud",)) as stack:
            yield stack
