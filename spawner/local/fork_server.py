"""A process that has imported hub, desk and steward, and starts them by forking itself.

Most of what these three do until they serve is importing the same packages. Forked, each is there in a fraction of the
time, when `freepool up` starts and whenever one of them has to be started again, and they share the memory.

The fork server is forked off the supervisor before that has threads or an event loop. It is the parent of what it
starts, and says when that ends. A program is executed instead where there is no fork server (it was killed, or the
system has no fork) or where the program gets other variables.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import gc
import importlib
import io
import json
import logging
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from spawner.local.environment import ALWAYS, FOR_HUB, OURS
from spawner.local.memory import spare_the_platform

log = logging.getLogger("freepool.up")
MODULES = ("jupyterhub.app", "spawner.hub.config", "spawner.hub.spawner", "spawner.desk.app", "spawner.steward.runner")
Main = Callable[[list[str]], object]
"""Runs the command `freepool` with these arguments."""
LARGEST = 1 << 16
"""Bytes of a message: a program's arguments and its environment."""
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
"""From linux/prctl.h."""


class Forked:
    """A program that the fork server has started, as `asyncio.subprocess.Process` shows one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def returncode(self) -> int | None:
        """The exit status, or minus the signal that ended it; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self._ended)

    def has_ended(self, code: int) -> None:
        """The fork server has told."""
        if not self._ended.done():
            self._ended.set_result(code)


class ForkServer:
    """The supervisor's side. `pid` is the fork server's own."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self._channel = channel
        self._environment = _passed_on(os.environ)
        self._asked: list[asyncio.Future[Forked]] = []
        self._running: dict[int, Forked] = {}
        self._is_read = False
        self.is_gone = False

    @classmethod
    def fork(cls, main: Main, *, more: Sequence[str] = ()) -> ForkServer | None:
        """Make one, in a process that has one thread. None where the system has no such thing.

        `main` runs the command `freepool` in what is started; `more` are modules to import besides.
        """
        if sys.platform != "linux":
            return None
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        pid = os.fork()
        if pid:
            its.close()
            ours.setblocking(False)
            return cls(pid, ours)
        ours.close()
        _serve(its, parent, main, [*MODULES, *more])

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a program with these variables may be forked: what is read at an import is the same as here."""
        return all(self._environment.get(name) == value for name, value in environment.items() if name not in OURS)

    async def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], output: int) -> Forked:
        """Start a program, which writes to the file descriptor `output`.

        Raises `OSError` if the fork server is gone, or if the variables are more than it takes at once.

        `arguments` are a module that `python -m` would run, `jupyterhub` or `spawner.cli`, and its arguments.
        """
        self._read()
        if self.is_gone:
            raise BrokenPipeError
        message = json.dumps({"name": name, "arguments": list(arguments), "environment": dict(environment)}).encode()
        if len(message) > LARGEST:
            raise OSError(errno.EMSGSIZE, "too many variables to fork with")
        socket.send_fds(self._channel, [message], [output])
        answer: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        return await answer

    def close(self) -> None:
        """Kill it, and with it whatever it has started that still runs."""
        if self._is_read:
            asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        os.kill(self.pid, signal.SIGKILL)  # it may be importing, or be stopped
        os.waitpid(self.pid, 0)

    def _read(self) -> None:
        if not self._is_read:
            self._is_read = True
            asyncio.get_running_loop().add_reader(self._channel, self._take)

    def _take(self) -> None:
        try:
            message = self._channel.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._lost()
            return
        told = json.loads(message)
        if "ended" in told:
            self._running.pop(told["ended"]).has_ended(told["code"])
            return
        forked = self._running[told["pid"]] = Forked(told["pid"])
        asked = self._asked.pop(0)
        if not asked.cancelled():
            asked.set_result(forked)

    def _lost(self) -> None:
        """The fork server was killed. The kernel then kills every program that it had started."""
        asyncio.get_running_loop().remove_reader(self._channel)
        self.is_gone = True
        log.warning(
            "the process %d, which starts programs, has ended; from now on they are started without it", self.pid
        )
        for forked in self._running.values():
            forked.has_ended(-signal.SIGKILL)
        for asked in self._asked:
            if not asked.done():
                asked.set_exception(BrokenPipeError())


# --- in the fork server, and in what it starts ------------------------------------------------------------------------


def _passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name in ALWAYS or name in FOR_HUB}


def _serve(channel: socket.socket, parent: int, main: Main, modules: Sequence[str]) -> NoReturn:
    """Import, then start what is asked for until the supervisor closes the channel."""
    passed_on = _passed_on(os.environ)
    os.environ.clear()  # what the programs do not get is not read at an import either
    os.environ.update(passed_on)
    os.setsid()  # Ctrl-C in the terminal is for the supervisor alone
    _end_with(parent)
    _call_it("forkserver")
    spare_the_platform()
    gc.disable()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    here = os.getpid()
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready == wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 512)
                _tell_of_ends(channel)
                continue
            message, (output, *_), *_ = _receive(channel)
            pid = os.fork()
            if pid == 0:
                channel.close()
                os.close(wake)
                os.close(woken)
                _become(json.loads(message), output, here, main)
            os.close(output)
            channel.send(json.dumps({"pid": pid}).encode())


def _receive(channel: socket.socket) -> tuple[bytes, list[int], int, object]:
    message, descriptors, flags, address = socket.recv_fds(channel, LARGEST, 1)
    if not message:
        os._exit(0)  # the kernel ends what still runs
    return message, descriptors, flags, address


def _tell_of_ends(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        with contextlib.suppress(OSError):  # the supervisor has gone, and this process goes next
            channel.send(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _become(program: Mapping[str, Any], output: int, parent: int, main: Main) -> NoReturn:
    """Be the program from here on, as if it had been executed. Returns to the interpreter, which ends as usual."""
    os.setsid()
    _end_with(parent)
    _call_it(program["name"])
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    sys.stdout, sys.stderr = (_unbuffered(number) for number in (1, 2))
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
    os.environ.clear()
    os.environ.update(program["environment"])
    tempfile.tempdir = None
    logging.getLogger().handlers.clear()
    gc.enable()
    module, *arguments = program["arguments"]
    sys.argv = [module, *arguments]
    if module == "jupyterhub":
        sys.modules["jupyterhub.app"].main()
    else:
        main(arguments)
    raise SystemExit


def _unbuffered(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        open(descriptor, "wb", buffering=0, closefd=False),
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies: nothing else would end it."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _call_it(name: str) -> None:
    """What `ps` and `top` show of this process: 15 bytes."""
    _prctl(PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]))


def _prctl(option: int, value: object) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
