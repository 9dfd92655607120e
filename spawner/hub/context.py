"""The pool of this hub process, kept in the hub's own Tornado settings: one per hub."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import aiohttp

from spawner.aio import TaskSet
from spawner.hub.exit_watcher import ExitWatcher
from spawner.hub.running import RunningReader
from spawner.instance.desk_key import desk_key
from spawner.pool.build import make_pool, new_id
from spawner.pool.pool import Pool
from spawner.settings import Settings, load_settings
from spawner.terms.documents import Documents, documents_of

log = logging.getLogger("freepool.hub")
SETTINGS_KEY = "freepool_settings_file"
HUB_POOL_KEY = "freepool"


@dataclass
class HubPool:
    """One hub's pool, its exit watcher, and the tasks that run both."""

    settings: Settings
    pool: Pool
    exit_watcher: ExitWatcher
    running: RunningReader
    tasks: list[asyncio.Task[None]]
    background: TaskSet = field(default_factory=lambda: TaskSet(_log_failure))

    @cached_property
    def documents(self) -> Documents:
        """The texts of terms and privacy."""
        return documents_of(self.settings, self.pool.catalog)

    def is_ending(self) -> bool:
        """Whether the hub is shutting down: JupyterHub then cancels all tasks, and these never end otherwise."""
        return any(task.done() for task in self.tasks)


def _log_failure(subject: str, error: BaseException) -> None:
    log.error("a background task of the hub failed: %s", subject, exc_info=error)


def hub_pool(hub_settings: MutableMapping[str, Any]) -> HubPool:
    """The pool of the hub with these Tornado settings. Created at the first call, inside the hub's event loop."""
    if HUB_POOL_KEY not in hub_settings:
        hub_settings[HUB_POOL_KEY] = _make(load_settings(Path(hub_settings[SETTINGS_KEY])))
    found: HubPool = hub_settings[HUB_POOL_KEY]
    return found


def _make(settings: Settings) -> HubPool:
    pool = make_pool(settings, session=aiohttp.ClientSession(), epoch=new_id())
    pool.desk_key_of = lambda instance_id: desk_key(settings.secret("desk"), instance_id)
    exit_watcher, running = ExitWatcher(pool.view), RunningReader(pool.ledger, pool.view, hub=settings.hubs.name)
    looks = exit_watcher.look_at_all(running.keys)
    tasks = [
        pool.view.start(),
        asyncio.create_task(exit_watcher.run(), name="freepool-exit-watcher"),
        asyncio.create_task(looks, name="freepool-exit-looks"),
    ]
    return HubPool(settings, pool, exit_watcher, running, tasks)
