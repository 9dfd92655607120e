"""A pool that pretends: a slot is a file's name, ready at once, and one small server answers for all of them.

Everything else is the real thing. Hub, desk and steward see the same slots, because they read the same folder.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Collection
from pathlib import Path
from typing import Any

from spawner.catalog import Flavor, Image
from spawner.pool.backends.base import Phase, Slots, SlotSpec, SlotStatus, Unavailable, Unseen, Usage, Weakness

FOLDER, ADDRESS = "FREEPOOL_BENCH_SLOTS", "FREEPOOL_BENCH_SERVERS"
"""Variables: the folder of the slots, and the URL of the server that pretends to be all of them."""
ASSIGNED = ".assigned"
LOOK_SECONDS = 0.02
ROUNDS = "rounds"
"""File beside the slots' folder: seconds of each of the steward's rounds, one a line."""


class PretendedBackend:
    """`Backend` over a folder of names."""

    isolated = True
    supports_user_namespaces = False

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self._address = address
        self._seen = -1
        self._slots: Slots = {}

    @property
    def weakness(self) -> Weakness | None:
        """None."""
        return None

    async def create(self, spec: SlotSpec) -> None:
        """It is ready at once."""
        (self._folder / spec.id).touch()

    async def assign(self, slot_id: str, *, seconds: float) -> None:
        """Another name."""
        if (self._folder / slot_id).exists():
            (self._folder / slot_id).rename(self._folder / (slot_id + ASSIGNED))

    async def destroy(self, slot_id: str) -> None:
        """Both names."""
        for name in (slot_id, slot_id + ASSIGNED):
            (self._folder / name).unlink(missing_ok=True)

    async def list(self) -> Slots:
        """Read again only where the folder has changed: the real backends have a watch."""
        changed = self._folder.stat().st_mtime_ns
        if changed != self._seen or time.time_ns() - changed < 10**8:
            self._seen = changed
            names = [path.name for path in self._folder.iterdir()]
            found = {name.removesuffix(ASSIGNED): name.endswith(ASSIGNED) for name in names}
            self._slots = {one: self._slots.get(one) or self._status(one) for one in found}
            for one, assigned in found.items():
                if self._slots[one].assigned != assigned:
                    self._slots[one] = self._status(one, assigned=assigned)
        return self._slots

    def _status(self, slot_id: str, *, assigned: bool = False) -> SlotStatus:
        return SlotStatus(slot_id, Phase.READY, url=f"{self._address}/s/{slot_id}", assigned=assigned)

    async def find(self, slot_id: str) -> SlotStatus | None:
        """One of the list."""
        return (await self.list()).get(slot_id)

    async def watch(self) -> AsyncGenerator[None, None]:
        """At each change of the folder."""
        seen = -1
        while True:
            changed = self._folder.stat().st_mtime_ns
            if changed != seen:
                seen = changed
                yield
            await asyncio.sleep(LOOK_SECONDS)

    def why_not(self, flavor: Flavor, image: Image | None = None) -> Unavailable | None:
        """It serves all."""
        return None

    def version(self, template: SlotSpec) -> str:
        """Always the same."""
        return "1"

    def memory(self) -> int | None:
        """Flavors share none, as on a cluster."""
        return None

    async def usage(self, slot_ids: Collection[str], *, ports: frozenset[int] | None) -> Usage:
        """Nothing is seen. `make bench-idle` measures what looking costs."""
        return Usage({}, unseen=Unseen.NO_METRICS)

    async def slow(self, slot_id: str, share: float) -> bool:
        """Not possible."""
        return False

    async def close(self) -> None:
        """Nothing is open."""


def install(*, steward: bool) -> None:
    """Put it in the place of the pool of this process, and have a steward write the seconds of its rounds."""
    from spawner.pool import build

    folder, address = Path(os.environ[FOLDER]), os.environ[ADDRESS]
    build.make_backend = lambda *_: PretendedBackend(folder, address)
    if steward:
        from spawner.steward import runner

        round_of = runner.Steward.round

        async def timed(self: Any) -> bool:
            began = time.perf_counter()
            try:
                return await round_of(self)
            finally:
                with (folder.parent / ROUNDS).open("a") as file:
                    file.write(f"{time.perf_counter() - began}\n")

        runner.Steward.round = timed  # type: ignore[method-assign]
