"""What every instance gives, tried inside a pod; tests/backends/test_isolation.py tries it in a sandbox."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import aiohttp

from spawner.instance import features
from spawner.pool.backends.kubernetes.manifest import HOME
from tests.backends.notebook import Notebook
from tests.features.ask import ask
from tests.kubernetes.conftest import Cluster

USER = "trudy"
MIB = 1024**2


def test_a_pod_has_every_feature(shared: Cluster) -> None:
    """FREEPOOL_FEATURES_REPORT names a file that gets the results, for docs/instances.md."""
    stack = shared.stack
    stack.add_user(USER)
    stack.run(USER, flavor="waits")  # 512 MiB of memory, 64 MiB of disk

    async def run() -> dict[str, dict[str, object]]:
        async with aiohttp.ClientSession() as session:
            notebook = Notebook(session, f"{stack.url}/user/{USER}/", stack.user_token(USER), "")
            return await ask(notebook, features.place_sizes(memory=512 * MIB, disk=64 * MIB).by_path(HOME))

    try:
        found = asyncio.run(run())
    finally:
        stack.stop(USER)
    if report := os.environ.get("FREEPOOL_FEATURES_REPORT"):
        Path(report).write_text(json.dumps(found, indent=1, ensure_ascii=False))
    assert {name: one["detail"] for name, one in found.items() if one["result"] == "fails"} == {}
    assert {name for name, one in found.items() if one["result"] == "not here"} <= {"gpu", "full-disk", "models"}
