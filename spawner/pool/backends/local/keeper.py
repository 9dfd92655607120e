"""The keeper: one small process per slot, outside its sandbox.

It starts the sandbox and outlives all processes inside, for four reasons:
- the notebook port: while the keeper holds the listening socket, no other program can bind the port of an instance that
  died and receive its user's requests;
- the network: it makes the slot's network namespace and passes connections in and out (`relay.py` says why);
- the state: it holds a lock on the slot's folder while it lives, so any process can see which slots exist without
  relying on process ids;
- the end: killing it kills the sandbox (parent-death signal), and on SIGTERM it removes the slot completely.

It survives hub, desk and steward. Standard library only, so that a warm slot costs little memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spawner.pool.backends.local import cgroup
from spawner.pool.backends.local.connections import parse
from spawner.pool.backends.local.namespace import Namespace
from spawner.pool.backends.local.relay import Pace, Relay, to_tcp, to_unix
from spawner.pool.backends.local.traffic import Recorder

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
WATCH_SECONDS = 0.5
"""Between checks of the memory use, without a control group."""
LOST_SECONDS = 5
"""Between checks that the slot's folder still exists: without it no process could find the slot."""
END_SECONDS = 10
SHUT_DOWN = 40
"""The agent's exit code where its user has shut the server down; see `spawner.instance.agent`."""
FIRST_TO_GO = 900
"""The oom_score_adj of what runs in a sandbox: where memory runs out, the kernel ends a notebook and no program of the
platform. What root has set (with CAP_SYS_RESOURCE) cannot be lowered from inside."""
LARGEST_LOG = 1024 * 1024
"""The most bytes of a sandbox's output that are kept: untrusted code writes it to the administrator's disk."""
LAST_WORDS = 4096
MOST_REQUESTS, MOST_CALLS = 512, 64
"""Connections at once: to the notebook, and from inside to each forwarded port."""
CALL_PACE = Pace(burst=200, per_second=50)
"""New connections from inside to a forwarded port. Each costs the keeper and the proxy time that no limit of the slot
covers."""
DESCRIPTORS = 4096
PIPE = 64 * 1024
"""The capacity of a pipe in bytes: one read empties it."""


class Keeper:
    """Runs one slot according to `orders` (JSON from `local.LocalBackend.create`)."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self.orders = orders
        self.folder = Path(orders["folder"])
        self.group = cgroup.Group(**orders["group"]) if orders["group"] else None
        self.limits = cgroup.Limits(**orders["limits"])
        self.status: dict[str, Any] = {
            "id": orders["id"],
            "pid": os.getpid(),
            "run_as": orders["run_as"],
            "phase": "creating",
        }
        self.program: subprocess.Popen[bytes] | None = None
        self.namespace: Namespace | None = None
        self.relay = Relay()
        self.traffic: Recorder | None = None
        soft, hard = orders["descriptors"]  # the hub has raised its own, which the sandbox shall not have
        self.descriptors = soft, hard
        self.said = -1  # the sandbox's output
        self.log_room, self.last_words = LARGEST_LOG, b""
        self.inside: int | None = None  # a pidfd of the sandbox's first process; readable when all in it are dead

    def run(self) -> None:
        """Start the sandbox, and run until it ends or SIGTERM comes."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            report = self._start()
        except OSError as error:
            self._died("start_failed", f"{error.strerror or error}: {error.filename or ''}".removesuffix(": "))
            report = -1
        self._watch(wake_read, report)

    def _start(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        if self.group:
            cgroup.make(self.group, self.limits)
        with self._connect() as agents:
            orders_read, orders_write = os.pipe()
            report_read, report_write = os.pipe()
            info_read, info_write = os.pipe()
            self.said, says = os.pipe()
            os.set_blocking(self.said, False)
            gauges = cgroup.open_gauges(self.group) if self.group else {}
            calls = _in_memory(bytes.fromhex(self.orders["filter"]))
            filled = {"{orders}": str(orders_read), "{info}": str(info_write), "{filter}": str(calls)}
            self.program = subprocess.Popen(
                [filled.get(word, word) for word in self.orders["command"]],
                stdin=subprocess.DEVNULL,
                stdout=says,
                stderr=says,
                env=self.orders["environment"],
                cwd=self.orders["directory"],
                pass_fds=(agents.fileno(), orders_read, report_write, info_write, calls, *gauges.values()),
                start_new_session=True,
                preexec_fn=self._limit,  # noqa: PLW1509  (the keeper has one thread)
            )
            handed = {**self.orders["agent"]["handed"], "version": self.group.version if self.group else 0}
            agent = {
                **self.orders["agent"],
                "handed": {**handed, "descriptors": gauges},
                "listener": agents.fileno(),
                "report": report_write,
            }
        for descriptor in (orders_read, report_write, info_write, calls, says, *gauges.values()):
            os.close(descriptor)
        with contextlib.suppress(BrokenPipeError):  # it has ended at once, and its last words say why
            os.write(orders_write, json.dumps(agent).encode())
        os.close(orders_write)
        self._say(port=self.listener.getsockname()[1])
        with os.fdopen(info_read) as stream:
            info = stream.read() if self.orders["isolated"] else ""  # only this process would close the other end
        if info:
            with contextlib.suppress(ProcessLookupError):
                self.inside = os.pidfd_open(json.loads(info)["child-pid"])
        return report_read

    def _connect(self) -> socket.socket:
        """The agent's listening socket: without a namespace the notebook port's own; else a Unix socket.

        A Unix socket cannot be connected to another address, and its name exists in the machine's namespace only.
        """
        plan = self.orders["network"]
        if plan is None:
            return self.listener.dup()
        _raise_limit_of_descriptors()
        self.namespace = Namespace(plan, self._join)
        if self.orders["traffic"]:
            self.traffic = Recorder(Path(self.orders["traffic"]), self.orders["id"], time.time)
        agents = socket.socket(socket.AF_UNIX)
        agents.bind("")
        agents.listen(512)
        self.relay.add(self.listener, to_unix(agents.getsockname()), most=MOST_REQUESTS)
        for listener, port in zip(self.namespace.listeners, plan["ports"], strict=True):
            call = to_tcp(plan["target"], port, source=self.orders["source"])
            self.relay.add(listener, call, most=MOST_CALLS, pace=CALL_PACE)
        return agents

    def _join(self) -> None:
        if self.group:
            cgroup.join(self.group)

    def _limit(self) -> None:
        self._join()
        if not self.group:
            processes = self.limits.processes
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, self.descriptors)
        if self.namespace:
            self.namespace.enter()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the last: new capabilities in a namespace would undo it

    def _watch(self, wake: int, report: int) -> None:
        """Handle events for ever. A handler returns False when its descriptor has no more of them."""
        handlers: dict[int, Callable[[], bool]] = {
            wake: lambda: self._wake(wake),
            self.relay.fileno(): lambda: True,  # each turn passes on what there is
            report: lambda: self._hear_report(report),
            self.said: self._hear,
        }
        if self.traffic and self.namespace and self.namespace.events:
            handlers[self.namespace.events.fileno()] = self._note_connections
        poll = select.poll()
        for descriptor in handlers:
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        looked = time.monotonic()
        while True:
            pause = LOST_SECONDS if self.group or not self.program else WATCH_SECONDS
            waits = self.relay.seconds_to_wait()
            for descriptor, _ in poll.poll((pause if waits is None else min(pause, waits)) * 1000):
                if not handlers[descriptor]():
                    poll.unregister(descriptor)
            self.relay.turn()
            if time.monotonic() - looked >= pause:
                looked = time.monotonic()
                self._look()

    def _wake(self, wake: int) -> bool:
        if signal.SIGTERM in os.read(wake, 512):
            self._end()
        self._reap()
        return True

    def _hear_report(self, report: int) -> bool:
        if os.read(report, 64).startswith(b"warm"):
            self._say(phase="ready")
        return False

    def _note_connections(self) -> bool:
        """Write what connection tracking tells. False once the namespace is gone."""
        if self.namespace is None or self.namespace.events is None or self.traffic is None:
            return False
        try:
            for connection in parse(self.namespace.events.recv(PIPE)):
                self.traffic.note(connection)
        except BlockingIOError:
            pass
        except OSError:  # ENOBUFS: more than the socket holds
            self.traffic.missed()
        return True

    def _look(self) -> None:
        """What has no event."""
        if self.traffic:
            self.traffic.write_ended()
        if not self.folder.exists():
            self._end()
        self._reap()
        if not self.group and self.program and _memory_of_descendants() > self.limits.memory:
            self._died("out_of_memory", "")
            self._kill()

    def _hear(self) -> bool:
        """Read the sandbox's output once, and keep it up to the limit. False at its end."""
        try:
            heard = os.read(self.said, PIPE)
        except BlockingIOError:
            return True
        self.last_words = (self.last_words + heard)[-LAST_WORDS:]
        kept, self.log_room = heard[: self.log_room], max(0, self.log_room - len(heard))
        if kept:
            with contextlib.suppress(OSError), (self.folder / "log").open("ab") as log:
                log.write(kept)
        return bool(heard)

    def _reap(self) -> None:
        """Reap ended children: the sandbox, and orphans that this process gets as subreaper."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if self.program and ended[0] == self.program.pid:
                    self.program.returncode = os.waitstatus_to_exitcode(ended[1])
        if self.program is None or self.program.returncode is None:
            return
        code = self.program.returncode
        self.program = None
        self._disconnect()
        # A kernel may have run out of memory earlier while the server went on: then that is not the reason now.
        if code == SHUT_DOWN and self.status["phase"] == "ready":
            self._died("shut_down", "")
        elif code != 0 and self.group and cgroup.ran_out_of_memory(self.group):
            self._died("out_of_memory" if cgroup.reached_its_limit(self.group) else "evicted", "")
        elif self.status["phase"] == "creating":
            self._died("start_failed", f"exit code {code}: {self._last_words()}")
        elif self.status["phase"] == "ready":
            self._died("crashed", f"exit code {code}")

    def _disconnect(self) -> None:
        """End the slot's network. The notebook port stays the keeper's."""
        self.relay.close()
        if self.traffic:
            self._note_connections()
            self.traffic.close()
            self.traffic = None
        if self.namespace:
            self.namespace.end()
            self.namespace = None

    def _last_words(self) -> str:
        self._hear()
        lines = self.last_words.decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def _died(self, reason: str, detail: str) -> None:
        if self.status["phase"] != "dead":
            self._say(phase="dead", reason=reason, detail=detail, died_at=time.time())

    def _say(self, **news: Any) -> None:
        self.status.update(news)
        with contextlib.suppress(OSError):  # a full disk must not end the instance; `list` still sees the lock
            write_status(self.folder, self.status)

    def _kill(self) -> None:
        if self.inside is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.inside, signal.SIGKILL)
        if self.program:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.program.pid, signal.SIGKILL)

    def _end(self) -> None:
        """Kill all processes, wait for their end, remove the folder, exit. The lock ends with this process."""
        self._kill()
        if self.inside is not None:
            waiter = select.poll()
            waiter.register(self.inside, select.POLLIN)
            if not waiter.poll(END_SECONDS * 1000):
                sys.exit(3)
        if self.group and not cgroup.remove(self.group, seconds=END_SECONDS):
            sys.exit(3)
        self._disconnect()
        _kill_descendants()
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)


def write_status(folder: Path, status: dict[str, Any]) -> None:
    """Replace the slot's status file atomically."""
    fresh, text = folder / "status.new", json.dumps(status)
    try:
        fresh.write_text(text)
        fresh.replace(folder / "status.json")
    except OSError:
        # A full disk has no room for a second file, but the existing file's block can be overwritten.
        fresh.unlink(missing_ok=True)
        if not (folder / "status.json").exists():
            raise
        with (folder / "status.json").open("r+") as stream:
            stream.write(text)
            stream.truncate()


def _raise_limit_of_descriptors() -> None:
    """Each relayed connection needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _in_memory(content: bytes) -> int:
    """A descriptor from which the content can be read."""
    descriptor = os.memfd_create("freepool")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _descendants() -> list[int]:
    """Ids of all descendants, nearest first. As subreaper this process is also the ancestor of daemons."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                stat = (entry / "stat").read_text()
                children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found: list[int] = []
    level = children.get(os.getpid(), [])
    while level:
        found += level
        level = [child for parent in level for child in children.get(parent, [])]
    return found


def _memory_of_descendants() -> int:
    total = 0
    for process in _descendants():
        with contextlib.suppress(OSError, ValueError):
            for line in Path("/proc", str(process), "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def _kill_descendants() -> None:
    deadline = time.monotonic() + END_SECONDS
    while (left := _descendants()) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.002)  # a killed process can be reaped only after a short time


def main() -> None:
    """Entry point: orders as JSON on standard input, the locked file as descriptor `sys.argv[1]`."""
    orders = json.load(sys.stdin)
    os.close(0)
    os.open(os.devnull, os.O_RDONLY)
    Keeper(orders).run()


if __name__ == "__main__":
    main()
