"""This machine as a pool: one sandbox per slot, each looked after by its own keeper process.

The truth about what exists is the operating system's: one folder per slot, locked by its keeper for as long as that
lives. Any process may ask; none needs to remember.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from watchfiles import awatch

from spawner.catalog import Flavor, Image
from spawner.errors import BackendUnavailable, SlotFailed
from spawner.instance.arguments import WORKSPACE, server_arguments
from spawner.ledger.pool.rows import EndReason
from spawner.pool.backends.base import Phase, Slots, SlotSpec, SlotStatus, Unavailable
from spawner.pool.backends.local import cgroup, sandbox
from spawner.pool.backends.local.keeper import write_status

FIRST_USER_ID = 0x70000000
"""Real user ids of sandboxes made by root start here: far above any account, below what the kernel reserves."""
SHARE_OF_MEMORY = 0.8
"""What of this machine's memory may be lent where the catalog names no amount: the rest is for the platform."""
DESTROY_SECONDS = 15
UNSAFE_FOLDERS = ("workspace", "home", "tmp")
"""What an instance without a sandbox writes to; they go with the slot's folder."""


class LocalBackend:
    """Slots as sandboxes on this machine. `folder` holds one subfolder per slot, `images` the environments."""

    def __init__(
        self, *, folder: Path, images: Path, examples: Path, isolated: bool = True, memory: int | None = None
    ) -> None:
        self.folder = folder
        self.images = images
        self.examples = examples
        self._isolated = isolated
        self._memory = memory
        self._groups = cgroup.available()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def isolated(self) -> bool:
        """False under `--unsafe-no-sandbox`."""
        return self._isolated

    @property
    def supports_user_namespaces(self) -> bool:
        """No: bubblewrap has its own way (`spawner/pool/backends/local/sandbox.py`)."""
        return False

    def memory(self) -> int | None:
        """Bytes that may be lent."""
        if self._memory is not None:
            return self._memory
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * SHARE_OF_MEMORY)

    def why_not(self, flavor: Flavor, image: Image | None = None) -> Unavailable | None:
        """The local pool has no GPUs, and serves only installed images."""
        if flavor.accelerator is not None:
            return Unavailable.NO_GPU
        room = self.memory()
        if room is not None and flavor.reserved > room:
            return Unavailable.TOO_LITTLE_MEMORY
        if image is not None and image.environment is None:
            return Unavailable.KUBERNETES_ONLY
        if image is not None and not self._is_installed(image):
            return Unavailable.NOT_INSTALLED
        return None

    def version(self, image: Image) -> str:
        """When it was installed."""
        try:
            return str((self._environment(image) / ".ready").stat().st_mtime_ns)
        except OSError:
            return ""

    def _is_installed(self, image: Image) -> bool:
        """The mark is `hub_config/setup`'s: what is being installed, or was interrupted, may lack anything."""
        folder = self._environment(image)
        return folder.is_dir() and not (folder / ".unfinished").exists()

    def _environment(self, image: Image) -> Path:
        assert image.environment is not None  # see `why_not`, which is asked before anything is made
        return self.images / image.environment

    async def create(self, spec: SlotSpec) -> None:
        """Make the slot's folder, lock it, and hand the lock to a keeper."""
        await asyncio.to_thread(self._create, spec)

    def _create(self, spec: SlotSpec) -> None:
        final = self.folder / spec.id
        if final.exists():
            return
        draft = self.folder / f".{spec.id}.{secrets.token_hex(4)}"
        try:
            draft.mkdir(mode=0o711)
            lock = os.open(draft / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise _cannot(error) from error
        keeper: subprocess.Popen[bytes] | None = None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run_as = self._free_user_id() if self._isolated and os.geteuid() == 0 else None
            if not self._isolated:
                for name in UNSAFE_FOLDERS:
                    (draft / name).mkdir()
            for name, text in sandbox.passwd_files(run_as).items():
                (draft / name).write_text(text)
                (draft / name).chmod(0o644)
            orders = self._orders(spec, final, run_as)
            (draft / "orders.json").write_text(json.dumps({"id": spec.id, "run_as": run_as, "group": orders["group"]}))
            try:
                draft.rename(final)
            except OSError:
                if final.exists():  # somebody else was as fast: theirs it is
                    shutil.rmtree(draft, ignore_errors=True)
                    return
                raise
            log = os.open(final / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            keeper = subprocess.Popen(
                [sys.executable, "-S", "-m", "spawner.pool.backends.local.keeper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                env={
                    "PYTHONPATH": str(sandbox.package_folder().parent),
                    "PATH": os.environ.get("PATH", os.defpath),
                },
                pass_fds=(lock,),
                start_new_session=True,
            )
            os.close(log)
            # Before it has its orders: a slot whose keeper nobody knows could not be destroyed.
            write_status(final, {"id": spec.id, "pid": keeper.pid, "run_as": run_as, "phase": Phase.CREATING.value})
            assert keeper.stdin is not None
            keeper.stdin.write(json.dumps(orders).encode())
            keeper.stdin.close()
            _reap_when_done(keeper)
        except OSError as error:
            if keeper is not None:
                keeper.kill()
                keeper.communicate()
            shutil.rmtree(draft, ignore_errors=True)
            shutil.rmtree(final, ignore_errors=True)
            raise _cannot(error) from error
        finally:
            os.close(lock)

    def _orders(self, spec: SlotSpec, folder: Path, run_as: int | None) -> dict[str, Any]:
        flavor = spec.flavor
        box = sandbox.Sandbox(
            environment=self._environment(spec.image),
            package=sandbox.package_folder(),
            examples=self.examples,
            folder=folder,
            disk=int(flavor.disk),
            run_as=run_as,
            threads=max(1, int(flavor.cpu)),
        )
        program = sandbox.agent_command(box.environment)
        # Files in a tmpfs are memory, so the room for them is added to what programs may use.
        limits = cgroup.Limits(memory=int(flavor.memory) + int(flavor.disk), processes=flavor.processes, cpu=flavor.cpu)
        group = cgroup.place(*self._groups, spec.id) if self._groups else None
        root, examples, directory, environment = (
            WORKSPACE,
            sandbox.EXAMPLES,
            "/",
            {"PATH": os.defpath},
        )
        if self._isolated:
            program = sandbox.bubblewrap_command(box, program)
        else:
            root, examples, directory = str(folder / "workspace"), str(self.examples), str(folder)
            environment = sandbox.variables(box) | {
                "HOME": str(folder / "home"),
                "TMPDIR": str(folder / "tmp"),
                "PYTHONPATH": str(sandbox.package_folder().parent),
                "JUPYTER_RUNTIME_DIR": str(folder / "home" / ".jupyter-runtime"),
            }
        return {
            "id": spec.id,
            "folder": str(folder),
            "directory": directory,
            "command": program,
            "environment": environment,
            "run_as": run_as,
            "isolated": self._isolated,
            "limits": asdict(limits),
            "group": group.to_json() if group else None,
            "agent": {
                "slot_id": spec.id,
                "key": spec.key.hex(),
                "root": root,
                # Without a sandbox root's instances run as root, which Jupyter Server wants to hear said.
                "arguments": [*server_arguments(root), f"--ServerApp.allow_root={not self._isolated}"],
                "examples_from": examples,
                "examples": list(spec.examples),
            },
        }

    def _free_user_id(self) -> int:
        taken = {orders.get("run_as") for orders in map(_orders_of, self._folders())}
        while (candidate := FIRST_USER_ID + secrets.randbelow(1 << 24)) in taken:
            pass
        return candidate

    def _folders(self) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        except OSError as error:
            raise BackendUnavailable(
                "The folder of slots cannot be read: {why}.",
                why=error.strerror,
                next_step="Check {path}.",
                path=self.folder,
            ) from error

    async def assign(self, slot_id: str, *, seconds: float) -> None:
        """Nothing to do: a keeper has no clock of its own."""

    async def destroy(self, slot_id: str) -> None:
        """Ask the keeper to end; where it is dead, do its work."""
        await asyncio.to_thread(self._destroy, slot_id)

    def _destroy(self, slot_id: str) -> None:
        folder = self.folder / slot_id
        if not folder.exists():
            return
        keeper = _status_of(folder).get("pid")
        if _locked(folder) and keeper:
            self._end_keeper(folder, int(keeper))
        if _locked(folder):
            raise BackendUnavailable("The slot {slot} does not end.", slot=slot_id, next_step="It is tried again.")
        # The keeper is dead, and with it (parent-death signal) the sandbox; what a group still holds is killed here.
        group = _orders_of(folder).get("group")
        if group and not cgroup.remove(cgroup.Group(**group)):
            raise BackendUnavailable(
                "A process of slot {slot} does not die.", slot=slot_id, next_step="It is tried again."
            )
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise BackendUnavailable(
                "The folder of slot {slot} cannot be removed.", slot=slot_id, next_step="It is tried again."
            )

    def _end_keeper(self, folder: Path, keeper: int) -> None:
        try:
            handle = os.pidfd_open(keeper)
        except OSError:
            return
        try:
            if not _locked(folder):  # it died before we held on to it: the number may be somebody else's by now
                return
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            with contextlib.suppress(ProcessLookupError):
                if not _wait(handle, DESTROY_SECONDS):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    _wait(handle, DESTROY_SECONDS)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)

    async def list(self) -> Slots:
        """Read every slot's folder and lock."""
        return await asyncio.to_thread(self._list)

    def _list(self) -> dict[str, SlotStatus]:
        statuses = map(self._find, (folder.name for folder in self._folders()))
        return {status.id: status for status in statuses if status is not None}

    async def find(self, slot_id: str) -> SlotStatus | None:
        """Read one slot's folder and lock."""
        return await asyncio.to_thread(self._find, slot_id)

    def _find(self, slot_id: str) -> SlotStatus | None:
        folder = self.folder / slot_id
        status = _status_of(folder)
        locked = _locked(folder)
        if not folder.exists():
            return None
        phase = Phase(status.get("phase", Phase.CREATING.value)) if locked else Phase.DEAD
        reason = status.get("reason") or (None if locked else EndReason.LOST.value)
        return SlotStatus(
            id=slot_id,
            phase=phase,
            url=f"http://127.0.0.1:{status['port']}" if "port" in status else None,
            reason=EndReason(reason) if reason else None,
            detail=status.get("detail", "").replace("\0", ""),
            lent=True,
        )

    async def close(self) -> None:
        """Nothing is held."""

    async def watch(self) -> AsyncGenerator[None, None]:
        """Wakes on changes in the slots' folders, and once a second: a killed keeper changes no file."""
        yield None
        async for _ in awatch(
            self.folder, recursive=True, debounce=10, step=5, rust_timeout=1000, yield_on_timeout=True,
            watch_filter=lambda _, path: path.endswith(("status.json", "lock")),
        ):  # fmt: skip
            yield None

    def memory_used(self, slot_id: str) -> int:
        """Bytes of memory that a slot is charged for now; 0 where nothing counts it."""
        group = _orders_of(self.folder / slot_id).get("group")
        return cgroup.memory_used(cgroup.Group(**group)) if group else 0


def _status_of(folder: Path) -> dict[str, Any]:
    return _json(folder / "status.json")


def _orders_of(folder: Path) -> dict[str, Any]:
    return _json(folder / "orders.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _locked(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _wait(handle: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _reap_when_done(keeper: subprocess.Popen[bytes]) -> None:
    """A keeper outlives its maker, but while the maker lives it must not become its zombie."""
    threading.Thread(target=keeper.wait, daemon=True, name=f"keeper-{keeper.pid}").start()


def _cannot(error: OSError) -> SlotFailed:
    return SlotFailed(
        "This machine cannot make a new instance: {why}.",
        next_step="Tell the operator; nothing that runs is touched.",
        why=error.strerror or error,
    )
