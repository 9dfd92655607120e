"""Build a pool from settings. The only module that knows the kinds of backend."""

from __future__ import annotations

import asyncio
import os
import secrets
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp

from spawner.catalog import Catalog
from spawner.ledger import Ledger, open_ledger
from spawner.ledger.pool import renamed_images
from spawner.pool.backends.base import Backend
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.means import find_means
from spawner.pool.backends.local.network import LOOPBACK, Means, Network, limits_of
from spawner.pool.last_catalog import read_catalog
from spawner.pool.pool import Pool
from spawner.pool.slot_view import SlotView
from spawner.settings import Isolation, Settings

CLUSTER_SLOTS_AT_ONCE = 64
"""Freepool may not read the number of nodes, so this is more than a small cluster handles well."""


def make_backend(settings: Settings, catalog: Catalog) -> Backend:
    """The backend that these settings ask for."""
    if settings.kubernetes is not None:
        # Imported only where needed: the Kubernetes libraries take a second to import.
        from spawner.pool.backends.kubernetes.backend import KubernetesBackend  # noqa: PLC0415

        return KubernetesBackend(settings.kubernetes)
    memory = catalog.limits.local_memory
    isolated = settings.isolation is not Isolation.NONE
    return LocalBackend(
        folder=settings.slots_dir,
        images=settings.images,
        examples=settings.examples,
        models=settings.models,
        isolated=isolated,
        memory=int(memory) if memory is not None else None,
        network=_network(settings) if isolated else None,
        traffic_folder=settings.traffic_dir if isolated and settings.network.log_days else None,
    )


def _network(settings: Settings) -> Network:
    """Instances reach the public port and, where the hub listens on one, the hub's, by the same numbers."""
    chosen, hub = settings.network, urlsplit(settings.hub_api_url)
    has_port = hub.scheme == "http"  # else a Unix socket, which no instance sees
    return Network(
        means=Means(chosen.means or find_means(internet=chosen.internet)[0]),
        ports=tuple(sorted(forwarded_ports(settings))),
        target=(hub.hostname if has_port else None) or LOOPBACK,
        also_refuse=chosen.also_refuse,
        allow=chosen.allow,
        limits=limits_of(chosen),
        log=chosen.log_days > 0,
    )


def forwarded_ports(settings: Settings) -> set[int]:
    """Ports of an instance's loopback that lead to the platform, on one machine."""
    hub = urlsplit(settings.hub_api_url)
    ports = {port for port in (hub.port if hub.scheme == "http" else None, settings.public_port) if port}
    return ports | settings.links.forwarded_ports


def rename_images(ledger: Ledger, catalog: Catalog) -> None:
    """Have open rows name images by their ids of today."""
    names = {old: image.id for image in catalog.images for old in image.formerly}
    if not names:
        return
    is_named = ledger.read(renamed_images.is_named, names)
    if is_named:
        ledger.write(renamed_images.rename, names)


def new_id() -> str:
    """A new id for an instance, slot or ticket: 16 random lower-case hexadecimal digits."""
    return secrets.token_hex(8)


def utc_now() -> datetime:
    """Now, aware and in UTC."""
    return datetime.now(UTC)


def slots_at_once(settings: Settings, catalog: Catalog) -> int:
    """How many slots may be created for starts at the same time."""
    here = os.cpu_count() or 1
    return catalog.limits.slots_at_once or (here if settings.kubernetes is None else CLUSTER_SLOTS_AT_ONCE)


def make_pool(settings: Settings, *, session: aiohttp.ClientSession, epoch: str) -> Pool:
    """The pool of one process. `epoch` identifies this run of it. Makes no request to the backend."""
    catalog = read_catalog(settings).catalog
    backend = make_backend(settings, catalog)
    ledger = open_ledger(settings.ledger)
    rename_images(ledger, catalog)
    return Pool(
        catalog=catalog,
        ledger=ledger,
        backend=backend,
        view=SlotView(backend),
        session=session,
        master_key=settings.secret("slots").encode(),
        hub_epoch=epoch,
        now=utc_now,
        new_id=new_id,
        coming_up=asyncio.Semaphore(slots_at_once(settings, catalog)),
        people=settings.people,
        hub=settings.hubs.name if settings.hubs.has_others else None,
    )
