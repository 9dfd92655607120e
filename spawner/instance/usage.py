"""`GET freepool/usage`: what this instance uses of what it may, and which kernels were ended for their memory.

`{"memory": {"used", "limit"}, "disk": {"used", "limit"}, "cpu": {"percent", "limit"},
"ended_kernels": [{"at", "kernel_id", "name", "path", "used", "limit"}]}`: bytes; percent of the limit, which is in
processors; `at` in seconds since 1970. A limit is null where none is known.

`memory` is what programs use, of what the machine type has: where files are kept in memory, they count as disk only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

from spawner.instance import memory
from spawner.instance.gauges import Gauges, Handed, Space, cpu_seconds, files_in_memory, space

USAGE = "freepool/usage"
SPACE_SECONDS = 30
"""How long the size of a folder is kept that has to be added up."""


class Usage:
    """The numbers, with what was read last. `clock` is seconds that only grow."""

    def __init__(
        self, gauges: Gauges, watcher: memory.Watcher, root: Path, handed: Handed, clock: Callable[[], float]
    ) -> None:
        self._gauges, self.watcher, self._root, self._handed, self._clock = gauges, watcher, root, handed, clock
        self._cpu = (clock(), cpu_seconds())
        self._percent = 0.0
        self._space: tuple[float, Space] | None = None

    def read(self) -> dict[str, Any]:
        """Read all. Takes a millisecond, and longer where files have to be added up."""
        disk = self._disk()
        return {
            "memory": {"used": self._gauges.used(), "limit": self._gauges.memory_limit},
            "disk": {"used": disk.used, "limit": disk.limit},
            "cpu": {"percent": round(self._cpu_percent(), 1), "limit": self._gauges.cpu_limit},
            "ended_kernels": [ended.to_json() for ended in self.watcher.ended],
        }

    def _disk(self) -> Space:
        now = self._clock()
        if self._space is None or now - self._space[0] > SPACE_SECONDS or self._space[1].in_memory:
            self._space = now, space(self._root, self._handed.disk)
        return self._space[1]

    def _cpu_percent(self) -> float:
        """Since the last time, at least a second ago. Processes that have ended meanwhile can make it too small."""
        (then, before), now = self._cpu, self._clock()
        if now - then >= 1:
            seconds = cpu_seconds()
            self._cpu = now, seconds
            share = max(0.0, seconds - before) / (now - then)
            self._percent = min(100.0, 100 * share / (self._gauges.cpu_limit or 1))
        return self._percent


class UsageHandler(APIHandler):
    """GET /freepool/usage"""

    _track_activity = False

    @authenticated
    async def get(self) -> None:
        """Its owner's, through this server's own sign-in."""
        self.set_header("Cache-Control", "no-store")
        self.finish(await asyncio.to_thread(self.settings["freepool_usage"].read))


def set_up(app: Any) -> None:
    """Watch the memory of this server's instance, and answer `USAGE`. Called once, when the server loads extensions."""
    handed = getattr(app, "freepool_handed", Handed())  # the agent's
    root = Path(app.root_dir)
    gauges = Gauges(handed, files=files_in_memory(root, handed.disk))
    manager, settings = app.kernel_manager, app.web_app.settings
    watcher = memory.Watcher(gauges, lambda: memory.running_kernels(manager), lambda: memory.terminals(settings))
    settings["freepool_usage"] = Usage(gauges, watcher, root, handed, time.monotonic)
    memory.watch(watcher)
    app.web_app.add_handlers(".*$", [(url_path_join(settings["base_url"], USAGE), UsageHandler)])
