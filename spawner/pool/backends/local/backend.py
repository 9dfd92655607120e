"""The local pool: one sandbox per slot on this machine, each with its own keeper process.

The file system holds the state: one folder per slot, locked by its keeper while the keeper lives. Any process can read
it; none keeps a copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Collection
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watchfiles import awatch

from spawner.catalog import Flavor, Image
from spawner.client_address import sandbox_address
from spawner.descriptors import GIVEN
from spawner.errors import BackendUnavailable, SlotFailed
from spawner.instance.arguments import WORKSPACE, server_arguments
from spawner.instance.features import place_sizes
from spawner.instance.model_links import MODELS_VARIABLE
from spawner.ledger.pool.rows import EndReason
from spawner.pool.backends.base import (
    Phase,
    Slots,
    SlotSpec,
    SlotStatus,
    Unavailable,
    Usage,
    Weakness,
    fingerprint,
)
from spawner.pool.backends.local import cgroup, sandbox, syscalls
from spawner.pool.backends.local.keeper_process import end_keeper, start_keeper
from spawner.pool.backends.local.network import Means, Network, plan, resolver
from spawner.pool.backends.local.slot_folder import is_locked, move_into_place, new_lock, orders_of, status_of
from spawner.pool.backends.local.slot_usage import UsageReader

FIRST_USER_ID = 0x70000000
"""Real user ids of sandboxes made by root start here: far above any account, below what the kernel reserves."""
SHARE_OF_MEMORY = 0.8
"""The share of this machine's memory for slots where the catalog names no amount; the rest is for the platform."""
MEMORY_OF_NETWORK = 32 * 1024**2
"""What the program for the internet may use beside the slot itself, in the slot's own control group."""
CODE_CHANGED_AT = max(
    path.stat().st_mtime_ns
    for folder in ("instance", "pool/backends/local")
    for path in (sandbox.package_folder() / folder).rglob("*.py")
)
"""When the code of agents and sandboxes last changed, as this process loaded it: a slot keeps what it was made by."""
UNSAFE_FOLDERS = ("workspace", "home", "tmp")
"""Folders that an instance without a sandbox writes to; removed with the slot's folder."""


class LocalBackend:
    """Slots as sandboxes on this machine. `folder` holds one subfolder per slot, `images` the environments.

    `traffic_folder`: the folder of the logs of connections (`traffic.py`); None: none are written.
    """

    def __init__(
        self,
        *,
        folder: Path,
        images: Path,
        examples: Path,
        models: Path | None = None,
        isolated: bool = True,
        memory: int | None = None,
        network: Network | None = None,
        traffic_folder: Path | None = None,
    ) -> None:
        self.folder = folder
        self.images = images
        self.examples = examples
        self.models = models
        self.code_changed_at = CODE_CHANGED_AT
        self._isolated = isolated
        self._memory = memory
        self.network = network if network is not None and isolated else Network()
        self._groups = cgroup.available()
        self.traffic = traffic_folder
        self._reader = UsageReader(
            folder, traffic_folder=traffic_folder, has_own_network=self.network.means is not Means.SHARED
        )
        if traffic_folder is not None:
            traffic_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def isolated(self) -> bool:
        """False under `--unsafe-no-sandbox`."""
        return self._isolated

    @property
    def weakness(self) -> Weakness | None:
        """What this machine, or its operator, does not give."""
        if not self._isolated:
            return Weakness.NO_ISOLATION
        return {Means.SHARED: Weakness.SHARED_NETWORK, Means.CLOSED: Weakness.NO_INTERNET}.get(self.network.means)

    @property
    def supports_user_namespaces(self) -> bool:
        """No: bubblewrap makes them itself (`spawner/pool/backends/local/sandbox.py`)."""
        return False

    def memory(self) -> int | None:
        """The catalog's `local_memory`, else `SHARE_OF_MEMORY` of what this machine, or Freepool's own group, has."""
        if self._memory is not None:
            return self._memory
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return int(min(machine, cgroup.most_memory() or machine) * SHARE_OF_MEMORY)

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

    def version(self, template: SlotSpec) -> str:
        """The fingerprint of when image and code were installed, and of the limits and examples of a sandbox."""
        flavor = template.flavor
        sizes = [flavor.cpu, int(flavor.memory), int(flavor.disk), flavor.processes]
        models = [str(self.models)] if self.models else []
        installed_at = [self._installed_at(template.image), self.code_changed_at]
        return fingerprint([*installed_at, *sizes, template.examples, *models])

    def _installed_at(self, image: Image) -> int:
        if image.environment is None:
            return 0
        try:
            return (self._environment(image) / ".ready").stat().st_mtime_ns
        except OSError:
            return 0

    def _is_installed(self, image: Image) -> bool:
        """`hub_config/setup` leaves `.unfinished` in an image while it installs it, and where it was interrupted."""
        folder = self._environment(image)
        return folder.is_dir() and not (folder / ".unfinished").exists()

    def _environment(self, image: Image) -> Path:
        assert image.environment is not None  # `why_not` has refused other images
        return self.images / image.environment

    async def create(self, spec: SlotSpec) -> None:
        """Make and lock the slot's folder, and pass the lock to a new keeper."""
        await asyncio.to_thread(self._create, spec)

    def _create(self, spec: SlotSpec) -> None:
        final = self.folder / spec.id
        if final.exists():
            return
        draft = self.folder / f".{spec.id}.{secrets.token_hex(4)}"
        try:
            draft.mkdir(mode=0o711)
            with new_lock(draft) as lock:
                run_as = self._free_user_id() if self._isolated and os.geteuid() == 0 else None
                orders = self._orders(spec, final, run_as)
                self._write_draft(draft, spec, run_as, orders)
                if move_into_place(draft, final):
                    start_keeper(final, lock, orders)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise _cannot(error) from error

    def _write_draft(self, draft: Path, spec: SlotSpec, run_as: int | None, orders: dict[str, Any]) -> None:
        if not self._isolated:
            for name in UNSAFE_FOLDERS:
                (draft / name).mkdir()
        files = sandbox.passwd_files(run_as) | {"resolv.conf": resolver(self.network.means)}
        files[sandbox.PYVENV] = sandbox.pyvenv_file(self._environment(spec.image))
        for name, text in files.items():
            (draft / name).write_text(text)
            (draft / name).chmod(0o644)
        kept = {"id": spec.id, "run_as": run_as, "group": orders["group"], "cpu": orders["limits"]["cpu"]}
        (draft / "orders.json").write_text(json.dumps(kept))

    def _orders(self, spec: SlotSpec, folder: Path, run_as: int | None) -> dict[str, Any]:
        flavor = spec.flavor
        box = sandbox.Sandbox(
            environment=self._environment(spec.image),
            package=sandbox.package_folder(),
            examples=self.examples,
            folder=folder,
            sizes=place_sizes(memory=int(flavor.memory), disk=int(flavor.disk)),
            run_as=run_as,
            threads=max(1, int(flavor.cpu)),
            own_network=self.network.means is not Means.SHARED,
            nested_namespaces=not sandbox.can_forbid_user_namespaces(),
            models=self._models(),
        )
        program = sandbox.agent_command(box.environment)
        connection = plan(self.network, run_as)
        # Files in a tmpfs are memory, so the limit is memory and disk together.
        limits = cgroup.Limits(
            memory=int(flavor.memory) + int(flavor.disk) + (MEMORY_OF_NETWORK if connection else 0),
            processes=flavor.processes,
            cpu=flavor.cpu,
        )
        group = self._group(spec.id)
        if self._isolated:
            root, examples, directory = WORKSPACE, sandbox.EXAMPLES, "/"
            program, environment = sandbox.bubblewrap_command(box, program), {"PATH": os.defpath}
        else:
            root, examples, directory = str(folder / "workspace"), str(self.examples), str(folder)
            environment = _unsandboxed_environment(box)
            if box.models is not None:
                environment[MODELS_VARIABLE] = str(box.models)
        return {
            "id": spec.id,
            "folder": str(folder),
            "directory": directory,
            "command": program,
            "environment": environment,
            "run_as": run_as,
            "isolated": self._isolated,
            "network": connection.to_json() if connection else None,
            "traffic": str(self.traffic) if self.traffic and connection else None,
            "source": sandbox_address(spec.id),
            "filter": syscalls.program().hex() if self._isolated else "",
            "limits": asdict(limits),
            "descriptors": GIVEN,
            "group": group.to_json() if group else None,
            "agent": {
                "slot_id": spec.id,
                "key": spec.key.hex(),
                "root": root,
                # Without a sandbox, root's instances run as root, which Jupyter Server must be told to allow.
                "arguments": [*server_arguments(root), f"--ServerApp.allow_root={not self._isolated}"],
                "examples_from": examples,
                "examples": list(spec.examples),
                "handed": {"memory": int(flavor.memory), "disk": int(flavor.disk), "cpu": flavor.cpu},
            },
        }

    def _models(self) -> Path | None:
        """The folder of models; it may be filled after the slot is made, so it is there from the beginning."""
        if self.models is not None:
            with contextlib.suppress(OSError):
                self.models.mkdir(parents=True, exist_ok=True)
                return self.models
        return None

    def _group(self, slot_id: str) -> cgroup.Group | None:
        """A slot's control group, below the one of all slots, which has all the memory that the pool may give away."""
        if not self._groups:
            return None
        pool = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:8]
        return cgroup.place(*self._groups, slot_id, pool=pool, pool_memory=self.memory())

    def _free_user_id(self) -> int:
        taken = {orders.get("run_as") for orders in map(orders_of, self._folders())}
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
        """Does nothing: a keeper has no deadline of its own."""

    async def destroy(self, slot_id: str) -> None:
        """Have the keeper remove the slot; where the keeper is dead, remove it here."""
        await asyncio.to_thread(self._destroy, slot_id)

    def _destroy(self, slot_id: str) -> None:
        folder = self.folder / slot_id
        if not folder.exists():
            return
        keeper = status_of(folder).get("pid")
        if is_locked(folder) and keeper:
            end_keeper(folder, int(keeper))
        if is_locked(folder):
            raise BackendUnavailable("The slot {slot} does not end.", slot=slot_id, next_step="It is tried again.")
        # The sandbox died with its keeper (parent-death signal). Kill the processes that are left in the group.
        group = orders_of(folder).get("group")
        if group and not cgroup.remove(cgroup.Group(**group)):
            raise BackendUnavailable(
                "A process of slot {slot} does not die.", slot=slot_id, next_step="It is tried again."
            )
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise BackendUnavailable(
                "The folder of slot {slot} cannot be removed.", slot=slot_id, next_step="It is tried again."
            )

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
        status = status_of(folder)
        locked = is_locked(folder)
        if not folder.exists():
            return None
        phase = Phase(status.get("phase", Phase.CREATING.value)) if locked else Phase.DEAD
        reason = status.get("reason") or (None if locked else EndReason.LOST.value)
        return SlotStatus(
            id=slot_id,
            phase=phase,
            url=f"http://127.0.0.1:{status['port']}" if "port" in status else None,
            reason=EndReason(reason) if reason else None,
            detail=status.get("detail", ""),
            assigned=True,
            died_at=datetime.fromtimestamp(status["died_at"], UTC) if "died_at" in status else None,
        )

    async def usage(self, slot_ids: Collection[str], *, ports: frozenset[int] | None) -> Usage:
        """Read from control groups and /proc, and from what the keepers have written since the last time."""
        return await asyncio.to_thread(self._usage, slot_ids, ports)

    def _usage(self, slot_ids: Collection[str], ports: frozenset[int] | None) -> Usage:
        if ports is not None:
            self._reader.forget_others(slot_ids)
        return Usage(
            {slot_id: self._reader.of_slot(slot_id, ports) for slot_id in slot_ids if is_locked(self.folder / slot_id)},
            sees_inside=True,
            can_slow=self._groups is not None,
        )

    async def slow(self, slot_id: str, share: float) -> bool:
        """Lower the limit of its control group."""
        orders = orders_of(self.folder / slot_id)
        if not orders.get("group") or "cpu" not in orders:
            return False
        return await asyncio.to_thread(cgroup.set_cpu, cgroup.Group(**orders["group"]), orders["cpu"] * share)

    async def close(self) -> None:
        """Does nothing: no connections are held."""

    async def watch(self) -> AsyncGenerator[None, None]:
        """Yields on changes in the slots' folders, and once a second: a killed keeper changes no file."""
        yield None
        async for _ in awatch(
            self.folder, recursive=True, debounce=10, step=5, rust_timeout=1000, yield_on_timeout=True,
            watch_filter=lambda _, path: path.endswith(("status.json", "lock")),
        ):  # fmt: skip
            yield None

    def memory_used(self, slot_id: str) -> int:
        """Bytes of memory charged to a slot now; 0 without a control group."""
        group = orders_of(self.folder / slot_id).get("group")
        return cgroup.memory_used(cgroup.Group(**group)) if group else 0


def _unsandboxed_environment(box: sandbox.Sandbox) -> dict[str, str]:
    """Variables of an instance without a sandbox, whose folders are the slot's."""
    return sandbox.variables(box) | {
        "HOME": str(box.folder / "home"),
        "TMPDIR": str(box.folder / "tmp"),
        "PYTHONPATH": str(sandbox.package_folder().parent),
        "JUPYTER_RUNTIME_DIR": str(box.folder / "home" / ".jupyter-runtime"),
    }


def _cannot(error: OSError) -> SlotFailed:
    return SlotFailed(
        "This server cannot create a new notebook: {why}.",
        next_step="Contact the administrator. Running notebooks are not affected.",
        why=error.strerror or error,
    )
