"""Makes a slot's network namespace, for the keeper.

A child process does what is to be done inside: the loopback interface, nftables' rules, the listening sockets of the
forwarded ports, which it passes back. No capability over the namespace remains in the sandbox: made by a user it
belongs to a user namespace above the sandbox's own; made by root, to one whose user is not the sandbox's.

Standard library only: the keeper imports it, and the keeper must be small.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spawner.pool.backends.local.connections import listen

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
READY_SECONDS = 20
"""For a program that is ready within 0.2 s on a machine with nothing else to do."""
SECOND_TO_GO = 500
"""The oom_score_adj of the program for the internet: after the sandbox, before the platform."""
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8913, 0x8914, 0x8916, 1
LARGEST = 64 * 1024
DONE = b"done"


class Namespace:
    """A network namespace, held by descriptors. `listeners` are inside, on the forwarded ports, in their order.

    `events` tells of connections out of it (see `traffic.py`); None where it leads nowhere.
    """

    def __init__(self, plan: dict[str, Any], prepare: Callable[[], None] = lambda: None) -> None:
        """Make it. `prepare` runs in each program that is started for it. Raises `OSError`, and leaves nothing."""
        self.plan = plan
        self.user = self.net = -1
        self.listeners: list[socket.socket] = []
        self.events: socket.socket | None = None
        self._prepare = prepare
        self._processes: dict[int, int] = {}
        self._leash = -1
        try:
            if plan["means"] == "pasta":
                self._start_pasta()
                self._do_inside(self.enter_as_root)
            else:
                self._do_inside(self._unshare)
            if plan["means"] == "slirp4netns":
                self._start_slirp()
            if plan["shape"]:
                self._shape()
        except BaseException:
            self.end()
            raise

    def enter(self) -> None:
        """Move the calling process into it, between fork and exec of the sandbox."""
        if self.user >= 0 and os.geteuid() != 0:
            _call("setns", self.user, CLONE_NEWUSER)
        _call("setns", self.net, CLONE_NEWNET)

    def enter_as_root(self) -> None:
        """Move the calling process into it, with all capabilities over it."""
        if self.user >= 0:
            _call("setns", self.user, CLONE_NEWUSER)
        _call("setns", self.net, CLONE_NEWNET)
        if self.user >= 0:  # the machine's root is nobody there, and would lose its capabilities with the next exec
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)

    def end(self) -> None:
        """End its programs and let it go. Who is inside stays inside."""
        for descriptor in (self._leash, self.user, self.net):
            if descriptor >= 0:
                os.close(descriptor)
        self._leash = self.user = self.net = -1
        for listener in self.listeners:
            listener.close()
        if self.events is not None:
            self.events.close()
            self.events = None
        for process, handle in self._processes.items():
            # By handle: the keeper may have reaped it long ago, and the number be another's.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
            with contextlib.suppress(ChildProcessError):  # `cat` is ours once pasta is gone: the keeper is subreaper
                os.waitpid(process, 0)
        self._processes = {}

    # The two ways to make it

    def _start_pasta(self) -> None:
        """pasta makes the namespaces itself, for a command: `cat`, which ends, and pasta with it, when we do."""
        program = self._popen([*self.plan["command"], "--", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert program.stdin is not None
        assert program.stdout is not None
        self._leash = os.dup(program.stdin.fileno())
        program.stdin.close()
        with program.stdout as said:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._leash, b"x")  # `cat` gives it back once the network is there
            if not _comes(said.fileno()) or os.read(said.fileno(), 1) != b"x":
                raise OSError(0, f"{self.plan['means']} does not start")
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        if not children:
            raise OSError(0, "pasta has ended")
        self._processes[int(children[0])] = os.pidfd_open(int(children[0]))
        self.user = os.open(f"/proc/{children[0]}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        self.net = os.open(f"/proc/{children[0]}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def _unshare(self) -> None:
        user, group = os.geteuid(), os.getegid()
        if user != 0:
            _call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
                Path("/proc/self", name).write_text(text)
        else:
            _call("unshare", CLONE_NEWNET)

    def _do_inside(self, go_in: Callable[[], None]) -> None:
        """Fork a child that goes inside, sets up what the plan says, and passes descriptors back."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child = os.fork()
        if child == 0:
            _in_child(its, lambda: _set_up(self.plan, go_in))
        its.close()
        with ours:
            # Two of it are the namespaces. Each comes in a message of its own: no number of descriptors is too large.
            found: list[int] = []
            said = b""
            while _comes(ours.fileno()):
                said, descriptors, _, _ = socket.recv_fds(ours, LARGEST, 1)
                if not descriptors:
                    break
                found += descriptors
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if said != DONE:
            for descriptor in found:
                os.close(descriptor)
            raise OSError(0, said.decode(errors="replace") or "the set-up of the network ended")
        for descriptor in found:
            os.set_inheritable(descriptor, False)
        user, net, *listeners = found
        if self.plan["log"]:
            self.events = socket.socket(fileno=listeners.pop())
        self.listeners = [socket.socket(fileno=one) for one in listeners]
        if self.net >= 0:
            os.close(user)
            os.close(net)
        else:
            self.user, self.net = user, net

    def _start_slirp(self) -> None:
        ready, is_ready = os.pipe()
        ends, self._leash = os.pipe()
        names = [f"--exit-fd={ends}", f"--ready-fd={is_ready}", "--netns-type=path"]
        # As root it gives up its capabilities; as a user it has none, and its sandbox does not work with paths.
        names.append(f"--userns-path=/proc/self/fd/{self.user}" if os.geteuid() else "--enable-sandbox")
        where = [f"/proc/self/fd/{self.net}", "eth0"]
        try:
            self._popen(
                [*self.plan["command"], *names, *where], pass_fds=(ends, is_ready, self.net, self.user), is_root=True
            )
        finally:
            os.close(ends)
            os.close(is_ready)
        with os.fdopen(ready, "rb", buffering=0) as stream:
            if not _comes(stream.fileno()) or not stream.read(1):
                raise OSError(0, f"{self.plan['means']} does not start")

    def _shape(self) -> None:
        """Limit the bandwidth of the interface to the internet, which is there now."""
        go_in = self.enter_as_root if self.plan["means"] == "pasta" else self.enter
        done = subprocess.run(
            self.plan["shape"],
            preexec_fn=go_in,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise OSError(0, f"tc: {done.stderr.decode(errors='replace').strip().splitlines()[:1]}")

    def _popen(self, command: list[str], *, is_root: bool = False, **how: Any) -> subprocess.Popen[bytes]:
        def prepare() -> None:
            self._prepare()
            if is_root and os.geteuid() == 0:
                _keep_mounts_apart()
            with contextlib.suppress(OSError):
                Path("/proc/self/oom_score_adj").write_text(str(SECOND_TO_GO))
            user = self.plan["user"]
            if user is not None and not is_root:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)

        program = subprocess.Popen(
            command,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **how},
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509  (the keeper has one thread)
        )
        self._processes[program.pid] = os.pidfd_open(program.pid)
        return program


def _in_child(channel: socket.socket, act: Callable[[], list[int]]) -> None:
    """Act, and pass the descriptors, or why there are none. Never returns."""
    try:
        for descriptor in act():
            socket.send_fds(channel, [b"x"], [descriptor])
        channel.send(DONE)
    except BaseException as error:
        text = f"{error.strerror}: {error.filename or ''}" if isinstance(error, OSError) else repr(error)
        channel.send(text.encode()[:LARGEST] or b"?")
    finally:
        os._exit(0)


def _set_up(plan: dict[str, Any], go_in: Callable[[], None]) -> list[int]:
    go_in()
    _bring_up("lo")
    if plan["rules"]:
        done = subprocess.run([plan["nft"], "-f", "-"], input=plan["rules"].encode(), capture_output=True, check=False)
        if done.returncode:
            raise OSError(0, f"nft: {done.stderr.decode(errors='replace').strip().splitlines()[:1]}")
    _add_address(plan["target"])
    # On every address, of which a namespace has loopback, the hub's, and the internet's interface, which lets none in.
    listeners = [socket.create_server(("", port), backlog=64) for port in plan["ports"]]
    namespaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("user", "net")]
    events = [listen().detach()] if plan["log"] else []
    return [*namespaces, *(listener.detach() for listener in listeners), *events]


def _add_address(target: str) -> None:
    """Where the hub's URL has an address of the machine's, code inside expects the hub there, not on loopback."""
    if target in ("", "localhost") or ":" in target or target.startswith("127.") or target == "0.0.0.0":  # noqa: S104
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(target))
        fcntl.ioctl(any_socket, SIOCSIFADDR, request)


def _bring_up(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", interface.encode(), 0)
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", interface.encode(), flags | IFF_UP))


def _comes(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(READY_SECONDS * 1000))


def _keep_mounts_apart() -> None:
    """Enter a mount namespace of one's own, of which this machine sees nothing.

    slirp4netns's own sandbox makes only the root of the file system private. What it then unmounts below (/run, /proc,
    other network namespaces) vanishes on the whole machine where the mounts are shared, as systemd makes them.
    """
    _call("unshare", CLONE_NEWNS)
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def _call(name: str, *arguments: int | bytes | None) -> None:
    # os.unshare and os.setns came with Python 3.12.
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def main() -> None:
    """Try a plan (JSON on standard input). Prints why it does not work here, or nothing."""
    try:
        Namespace(json.load(sys.stdin)).end()
    except OSError as error:
        sys.stdout.write(f"{error.strerror}: {error.filename or ''}".strip(": ") or "it does not work")


if __name__ == "__main__":
    main()
