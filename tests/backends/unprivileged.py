"""Run by `test_unprivileged.py` as a user without rights: one slot from creation to end, and one that eats too much.

    python -m tests.backends.unprivileged FOLDER IMAGES

Prints what it saw as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from spawner.local.preflight import require_sandbox
from spawner.pool.backends.base import SlotSpec
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.network import Network
from spawner.settings import Isolation
from tests.backends import machine
from tests.backends.conformance import SMALL, answers, dead, ready, spec
from tests.backends.conftest import EXAMPLES, means

LITTLE = SMALL.model_copy(update={"memory": 64 * 1024**2, "disk": 16 * 1024**2})


async def _lives(backend: LocalBackend) -> dict[str, Any]:
    wanted = spec()
    await backend.create(wanted)
    status = await ready(backend, wanted.id)
    assert status.url is not None
    processes = machine.processes_of(backend.folder, wanted.id)
    inmost = machine.inside_of(backend.folder, wanted.id)[-1]
    inside = Path(f"/proc/{inmost.pid}")
    fields = dict(line.split(":\t") for line in (inside / "status").read_text().splitlines() if ":\t" in line)
    seen = {
        "health": await answers(status.url),
        "user": inmost.uids().real,
        "capabilities": [fields[name] for name in ("CapPrm", "CapEff", "CapAmb")],
        "no_new_privileges": fields["NoNewPrivs"],
        "filter": fields["Seccomp"].strip(),
        "mounts": [[words[4], words[5]] for words in map(str.split, (inside / "mountinfo").read_text().splitlines())],
    }
    await backend.destroy(wanted.id)
    return seen | {
        "ended": machine.gone(processes, seconds=1),
        "left": [path.name for path in backend.folder.iterdir()],
        "port_free": machine.can_bind(status.url),
        "listed": list(await backend.list()),
    }


async def _dies(backend: LocalBackend, wanted: SlotSpec) -> list[str]:
    await backend.create(wanted)
    try:
        status = await dead(backend, wanted.id)
        return [str(status.reason), status.detail]
    finally:
        await backend.destroy(wanted.id)


async def main(folder: Path, images: Path) -> None:
    require_sandbox(Isolation.BUBBLEWRAP)
    backend = LocalBackend(folder=folder, images=images, examples=EXAMPLES, network=Network(means=means()))
    seen = {"me": os.geteuid(), "groups": backend._groups is not None, "means": means().value}
    seen["lives"] = await _lives(backend)
    seen["broken"] = await _dies(backend, spec("broken"))
    seen["hungry"] = await _dies(backend, replace(spec("hungry"), flavor=LITTLE))
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
