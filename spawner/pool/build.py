"""Putting a pool together from settings: the one place that knows which kinds of backend there are."""

from __future__ import annotations

import asyncio
import os
import secrets
from datetime import UTC, datetime

import aiohttp

from spawner.catalog import Catalog, load_catalog
from spawner.ledger import open_ledger
from spawner.pool.backends.base import Backend
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.pool import Pool
from spawner.pool.slot_view import SlotView
from spawner.settings import Isolation, Settings

CLUSTER_SLOTS_AT_ONCE = 64
"""How many nodes there are is not for us to know, so this is more than a small cluster does well with."""


def make_backend(settings: Settings, catalog: Catalog) -> Backend:
    """The backend that these settings ask for."""
    if settings.kubernetes is not None:
        # Only where it is needed: the cluster's libraries take a second to import.
        from spawner.pool.backends.kubernetes.backend import KubernetesBackend  # noqa: PLC0415

        return KubernetesBackend(settings.kubernetes)
    memory = catalog.limits.local_memory
    return LocalBackend(
        folder=settings.slots_dir,
        images=settings.images,
        examples=settings.examples,
        isolated=settings.isolation is not Isolation.NONE,
        memory=int(memory) if memory is not None else None,
    )


def new_id() -> str:
    """A fresh id for an instance or a slot: 16 lower-case hexadecimal digits, random enough never to meet again."""
    return secrets.token_hex(8)


def utc_now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


def slots_at_once(settings: Settings, catalog: Catalog) -> int:
    """How many slots may be made for somebody at one moment."""
    here = os.cpu_count() or 1
    return catalog.limits.slots_at_once or (here if settings.kubernetes is None else CLUSTER_SLOTS_AT_ONCE)


def make_pool(settings: Settings, *, session: aiohttp.ClientSession, epoch: str) -> Pool:
    """The pool of one process. `epoch` names this run of it; nothing is asked of the backend yet."""
    catalog = load_catalog(settings.catalog)
    backend = make_backend(settings, catalog)
    return Pool(
        catalog=catalog,
        ledger=open_ledger(settings.ledger),
        backend=backend,
        view=SlotView(backend),
        session=session,
        master_key=settings.secret("slots").encode(),
        hub_epoch=epoch,
        now=utc_now,
        new_id=new_id,
        coming_up=asyncio.Semaphore(slots_at_once(settings, catalog)),
    )
