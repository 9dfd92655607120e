"""An instance is wiped, however it ends. One suite for all backends; each backend's test module extends `Ways`.

A user leaves a canary in every place of an instance and loses the instance. The next instance contains nothing of the
canary, nothing of the old one is left on the machine, its token is refused, and the desk shows why it ended unless the
user asked for it.

Several users lose instances side by side (`Matrix`), because they wait for most of the time; each loses one after the
other, each in another way. Ways that affect more than their own instance, such as the death of the hub, are marked
`alone`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import aiohttp
import httpx
import pytest

from spawner.ledger import EndReason, Instance, InstanceState
from spawner.ledger.pool import instances
from spawner.ledger.pool.end_texts import english
from spawner.pool.progress import USER_REQUESTED
from tests.backends import canary, machine
from tests.backends.notebook import KernelDied, Notebook
from tests.stack import Stack, eventually

T = TypeVar("T")
END_SECONDS = 60
GONE_SECONDS = 180
"""A node ends a pod and clears its volumes away in 2 to 10 s, and in up to 80 s after its agent was away."""

# A notebook's parent is the server. Its folder is on the server's path, and the server loads whatever is registered
# there as a converter of notebooks: so code of the user runs in the server itself.
EXIT = """
import os
os.makedirs('/mnt/workspace/leave-1.dist-info')
open('/mnt/workspace/leave-1.dist-info/entry_points.txt', 'w').write('[nbconvert.exporters]\\nleave = leave:Now\\n')
open('/mnt/workspace/leave.py', 'w').write('import os; os._exit(1)')
"""
KILL = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
EAT = """
held = []
while True:
    held.append(bytearray(b'x') * (16 << 20))
"""


def small(data: dict[str, Any]) -> None:
    """Change a catalog so that memory and disk are used up in no time."""
    data["flavors"] = [flavor for flavor in data["flavors"] if flavor["id"] == "cpu-basic"]
    data["flavors"][0] |= {"memory": "512MiB", "disk": "64MiB", "reserve": "256MiB", "warm": 1, "limit": 6}


# The system ends the largest process, or the one that it is told to blame: here the server is both. What eats has left
# the kernel's process group, which the server ends before the limit is reached.
EAT_IN_BITES = """
import os, subprocess, sys, time
open(f'/proc/{os.getppid()}/oom_score_adj', 'w').write('1000')
bite = "import time; held = bytearray(b'x') * (32 << 20); time.sleep(60)"
eat = (
    "import subprocess, sys, time\\n"
    "for _ in range(80):\\n"
    "    subprocess.Popen([sys.executable, '-S', '-c', sys.argv[1]])\\n"
    "    time.sleep(0.05)\\n"
    "time.sleep(60)"
)
subprocess.Popen([sys.executable, '-S', '-c', eat, bite], start_new_session=True)
time.sleep(30)
"""


class Body(Protocol):
    """One instance as the machine has it. `id` is one that no other instance ever has."""

    id: str

    def left(self) -> list[str]:
        """Descriptions of its parts that still exist."""
        ...


class Ground(Protocol):
    """A running Freepool, and how its instances are looked at from outside."""

    stack: Stack

    def body(self, instance: Instance) -> Body:
        """The parts of the instance on the machine."""
        ...


@dataclass(frozen=True)
class Row:
    """The result of one way to lose an instance."""

    way: str
    is_new: bool
    found: list[str]
    gone_after: float
    is_refused: bool
    words: str


HEADINGS = ("way", "new", "canary found", "gone after", "token", "words")


def table(rows: list[Row]) -> str:
    """The rows as a printable table."""
    lines = [HEADINGS] + [
        (
            row.way,
            "yes" if row.is_new else "NO",
            ", ".join(row.found) or "nowhere",
            f"{row.gone_after:.1f} s",
            "refused" if row.is_refused else "VALID",
            row.words or "-",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


class Tenant:
    """A user who loses one instance after the other. `options` are those of each start."""

    def __init__(self, ground: Ground, name: str, **options: str) -> None:
        self.ground, self.stack, self.name, self.options = ground, ground.stack, name, options
        self.ledger = ground.stack.ledger
        self.stack.add_user(name)
        self.token = self.stack.user_token(name)
        self.kernel = ""
        self.rows: list[Row] = []

    def latest(self) -> Instance | None:
        """The user's newest instance."""
        return self.ledger.read(instances.latest, self.stack.person_of(self.name), "")

    def running(self) -> Instance | None:
        """The newest instance, if the hub has it running, too."""
        instance, servers = self.latest(), self.servers() or {}
        is_running = (
            instance is not None and instance.state is InstanceState.RUNNING and servers.get("", {}).get("ready")
        )
        return instance if is_running else None

    def move_in(self) -> Instance:
        """The running instance; starts one unless one is starting."""
        if self.servers() == {}:
            self.kernel = ""
            answer = self.stack.start(self.name, **self.options)
            assert answer.status_code in (201, 202, 400)  # 400: the desk was faster
        return eventually(self.running, seconds=END_SECONDS, what="an instance")

    def servers(self) -> dict[str, Any] | None:
        """What JupyterHub says of the user's servers; None while it is away."""
        with contextlib.suppress(httpx.HTTPError):
            answer = self.stack.api("GET", f"/users/{self.name}")
            if answer.status_code == 200:
                return dict(answer.json()["servers"])
        return None

    def ask(self, method: str, path: str) -> httpx.Response:
        """Ask something of the own server, as JupyterLab does."""
        headers = {"Authorization": f"token {self.token}"}
        return self.stack.http.request(method, f"{self.stack.url}/user/{self.name}/{path}", headers=headers, timeout=30)

    def do(self, act: Callable[[Notebook], Awaitable[T]]) -> T:
        """Use the notebook; the kernel stays for the next time."""

        async def use() -> T:
            async with aiohttp.ClientSession() as session:
                url = f"{self.stack.url}/user/{self.name}/"
                notebook = Notebook(session, url, self.token, "", self.kernel)
                try:
                    return await act(notebook)
                finally:
                    self.kernel = notebook.kernel

        return asyncio.run(use())

    def run(self, code: str) -> str:
        """Run code in the notebook."""
        return self.do(lambda notebook: notebook.run(code))

    def run_fatally(self, code: str) -> None:
        """Run code that takes the server with it."""
        with contextlib.suppress(KernelDied, aiohttp.ClientError, TimeoutError):
            self.run(code)

    @contextmanager
    def loses_everything(self, way: str, reason: EndReason, words: str = "") -> Iterator[Instance]:
        """The block ends the yielded instance for this reason; the desk's text about it contains `words`.

        Without words the desk shows no text, because the user asked for the end.
        """
        before = self.move_in()
        body = self.ground.body(before)
        planted = self.do(canary.plant)
        assert machine.mentioned(planted.canary), "the process that wants to stay is not seen from outside"
        assert self._is_known(planted.token)
        yield before
        began = time.monotonic()
        with ThreadPoolExecutor(1) as watcher:
            gone = watcher.submit(self._seconds_until_gone, body, began)
            said = self._wait_for_end(before)
            is_refused = not self._is_known(planted.token)
            self.kernel = ""
            after = self.move_in()
            found = self.do(lambda notebook: canary.search(notebook, planted))
            is_new = self.ground.body(after).id != body.id and after.slot_id != before.slot_id
            row = Row(way, is_new, found, gone.result(), is_refused, said)
        self.rows.append(row)
        assert row.is_new
        assert row.found == [], row.found
        assert row.is_refused
        assert machine.mentioned(planted.canary) == []
        ended = self.ledger.read(instances.get, before.id)
        assert (ended.reason, words in said, bool(said)) == (reason, True, reason not in USER_REQUESTED), (
            said,
            ended.detail,
        )
        assert not words or words in english(reason)

    def _seconds_until_gone(self, body: Body, began: float) -> float:
        eventually(lambda: not body.left(), seconds=GONE_SECONDS, what=f"the end of {body.id}")
        return time.monotonic() - began

    def _is_known(self, token: str) -> bool:
        """Whether the hub takes a token."""
        status = self.stack.api("GET", "/user", token=token).status_code
        assert status in (200, 403)
        return status == 200

    def _wait_for_end(self, before: Instance) -> str:
        """Wait until it has ended in ledger and hub; the desk's text about it, if no instance followed yet."""

        def is_over() -> bool:
            latest = self.latest()
            assert latest is not None
            is_ended = latest.state is InstanceState.ENDED and self.servers() == {}
            return latest.id != before.id or is_ended

        eventually(is_over, seconds=END_SECONDS, what="the end")
        state = self.stack.desk("GET", "api/state", token=self.token).json()
        return state["last"]["text"] if state["last"] else ""


@contextmanager
def tenant_on(ground: Ground, name: str, **options: str) -> Iterator[Tenant]:
    """A user on this ground, who leaves nothing running."""
    tenant = Tenant(ground, name, **options)
    try:
        yield tenant
    finally:
        tenant.stack.api("DELETE", f"/users/{name}/server")


def show(config: pytest.Config, rows: list[Row]) -> None:
    """Print what was seen, also where pytest keeps output to itself."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        print(f"\n\n{table(rows)}\n")


Way = TypeVar("Way", bound=Callable[..., None])


def alone(way: Way) -> Way:
    """Marks a way that affects more than its own instance: nothing else runs beside it."""
    way.is_alone = True  # type: ignore[attr-defined]
    return way


class Ways:
    """Ways to lose an instance that every backend has. Each public method is one."""

    @classmethod
    def names(cls) -> list[str]:
        """All ways of this backend: first those that run side by side, in the order of their definition."""
        found = {name: None for kind in reversed(cls.__mro__) for name in vars(kind) if not name.startswith("_")}
        ways = [name for name in found if name != "names"]
        return sorted(ways, key=lambda name: hasattr(getattr(cls, name), "is_alone"))

    def the_desks_button(self, tenant: Tenant) -> None:
        with tenant.loses_everything("restart on the desk", EndReason.RESTARTED):
            answer = tenant.stack.desk("POST", "api/instance/restart", token=tenant.token)
            assert answer.status_code in (201, 202), answer.text

    def stop_and_start(self, tenant: Tenant) -> None:
        with tenant.loses_everything("REST stop, start", EndReason.STOPPED):
            assert tenant.stack.stop(tenant.name).status_code in (202, 204)

    def jupyterlabs_shutdown(self, tenant: Tenant) -> None:
        with tenant.loses_everything("JupyterLab's shutdown", EndReason.SHUT_DOWN, "shut your notebook down"):
            assert tenant.ask("POST", "api/shutdown").status_code == 200

    def a_kernel_out_of_memory_and_a_shutdown_later(self, tenant: Tenant) -> None:
        """The kernel's end is not why the server ends later."""
        with tenant.loses_everything("kernel full, shutdown", EndReason.SHUT_DOWN, "shut your notebook down"):
            with pytest.raises(KernelDied):
                tenant.run(EAT)
            assert tenant.run("print(6 * 7)") == "42\n"
            assert tenant.ask("POST", "api/shutdown").status_code == 200

    def the_server_killed_from_inside(self, tenant: Tenant) -> None:
        with tenant.loses_everything("kill -9 of the server", EndReason.CRASHED, "exited on its own"):
            tenant.run_fatally(KILL)

    def the_server_exits(self, tenant: Tenant) -> None:
        with tenant.loses_everything("exit 1 of the server", EndReason.CRASHED, "exited on its own"):
            tenant.run(EXIT)
            assert tenant.ask("GET", "nbconvert/leave/any.ipynb").status_code in (502, 503)  # nothing answers there

    def out_of_memory(self, tenant: Tenant) -> None:
        with tenant.loses_everything("out of memory", EndReason.OUT_OF_MEMORY, "ran out of memory"):
            tenant.run_fatally(EAT_IN_BITES)

    @alone
    def the_hub_killed_amid_a_session(self, tenant: Tenant) -> None:
        with tenant.loses_everything("hub killed, then stop", EndReason.STOPPED) as instance:
            _kill_hub(tenant)
            assert tenant.latest() == instance, "the notebook goes on"
            assert tenant.run("print(6 * 7)") == "42\n"
            assert tenant.stack.stop(tenant.name).status_code in (202, 204)

    @alone
    def the_hub_killed_amid_the_end(self, tenant: Tenant) -> None:
        with tenant.loses_everything("hub killed amid stop", EndReason.STOPPED):
            assert tenant.stack.stop(tenant.name).status_code in (202, 204)
            _kill_hub(tenant)


class Matrix:
    """All ways that are asked for, on one ground. They begin when the matrix does; each test waits for its own.

    So many tenants as run at once lose one instance after the other: what one way leaves behind, the next way ends.
    """

    def __init__(self, ground: Ground, ways: Ways, names: list[str], *, at_once: int) -> None:
        self._ground, self._ways = ground, ways
        self._rows: dict[str, list[Row]] = {name: [] for name in names}
        self._tenants: dict[int, Tenant] = {}
        self._numbers = itertools.count(1)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="way")
        self._running = {name: self._threads.submit(self._lose, name) for name in names if not self._is_alone(name)}

    def _is_alone(self, name: str) -> bool:
        return hasattr(getattr(self._ways, name), "is_alone")

    def _lose(self, name: str) -> None:
        tenant = self._tenant()
        tenant.rows = self._rows[name]
        try:
            getattr(self._ways, name)(tenant)
        except BaseException:
            self._leave(tenant)  # in an unknown state: the next way gets another
            raise

    def _tenant(self) -> Tenant:
        """The user of this thread. What one way leaves running, the next way loses."""
        thread = threading.get_ident()
        if thread not in self._tenants:
            self._tenants[thread] = Tenant(self._ground, f"tenant-{next(self._numbers)}")
        return self._tenants[thread]

    def _leave(self, *tenants: Tenant) -> None:
        """These users stop what they have, and come no more."""
        for tenant in tenants:
            tenant.stack.api("DELETE", f"/users/{tenant.name}/server")
        self._tenants = {thread: one for thread, one in self._tenants.items() if one not in tenants}

    def loses(self, name: str) -> None:
        """Wait for one way; raises its exception."""
        if name in self._running:
            self._running[name].result()
        else:
            wait(self._running.values())
            here = threading.get_ident()
            self._leave(*(one for thread, one in self._tenants.items() if thread != here))
            self._lose(name)

    def end(self) -> list[Row]:
        """Wait for all; what was seen."""
        for way in self._running.values():
            way.cancel()
        self._threads.shutdown()
        self._leave(*self._tenants.values())
        return [row for rows in self._rows.values() for row in rows]


@contextmanager
def matrix_of(request: pytest.FixtureRequest, ground: Ground, ways: Ways, *, at_once: int) -> Iterator[Matrix]:
    """The ways that the tests of this module ask for, which are parametrized by `way`; printed at the end."""
    calls = [
        item.callspec.params
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
    ]
    matrix = Matrix(ground, ways, [call["way"] for call in calls if "way" in call], at_once=at_once)
    try:
        yield matrix
    finally:
        show(request.config, matrix.end())


def _kill_hub(tenant: Tenant) -> None:
    """kill -9; its supervisor starts it again."""
    before = tenant.stack.pids("hub")
    tenant.stack.kill("hub")
    eventually(lambda: set(tenant.stack.pids("hub")) - set(before), seconds=END_SECONDS, what="another hub")
    eventually(lambda: tenant.servers() is not None, seconds=END_SECONDS, what="its answer")
