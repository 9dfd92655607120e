"""`freepool models pull | list | verify | remove`: the platform's model cache."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from spawner.catalog import Catalog, Model, load_catalog
from spawner.errors import BadOption, SetupError
from spawner.local.preflight import read_local_file
from spawner.models.hubs import TIMEOUT, Hub
from spawner.models.pull import Pulled, is_newer, pull
from spawner.models.store import Store
from spawner.pool.build import utc_now

Say = Callable[[str], object]
PROGRESS_SECONDS = 5.0
MB = 10**6
SIZE_OFF = 0.1
"""Share by which the catalog's size may be wrong before it is said."""


@dataclass(frozen=True)
class Place:
    """A catalog, and the store for its models."""

    catalog: Catalog
    store: Store

    def chosen(self, ids: Sequence[str]) -> list[Model]:
        """Models of the catalog. Raises `BadOption`."""
        return [self.catalog.model(one) for one in ids] if ids else list(self.catalog.models)


def place_of(options: argparse.Namespace) -> Place:
    """What the options and the settings name. Raises `SetupError`."""
    named: Mapping[str, Any] = {}
    if options.catalog is None or options.folder is None:
        named = read_local_file(options.settings)
    folder, catalog = options.folder or named.get("models"), options.catalog or named.get("catalog")
    if folder is None or catalog is None:
        raise SetupError(
            "{settings} names no folder of models.",
            next_step="Add `models: FOLDER` to it, or use --folder; docs/models.md.",
            settings=options.settings,
        )
    return Place(load_catalog(Path(catalog)), Store(Path(folder)))


def run(options: argparse.Namespace, say: Say, *, environment: Mapping[str, str] = os.environ) -> None:
    """Do what the options ask for. Raises `BadOption` and `SetupError`."""
    place = place_of(options)
    if options.change == "pull":
        with place.store.locked():
            asyncio.run(pull_all(place.chosen(options.models), place.store, say, environment=environment))
    elif options.change == "list":
        newer = asyncio.run(find_newer(place, options.models, environment)) if options.newer else frozenset()
        say("".join(f"{line}\n" for line in table(place, options.models, newer)))
    elif options.change == "verify":
        _verify(place, options.models, say)
    else:
        _remove(place, options.models, say)


async def pull_all(
    models: Sequence[Model], store: Store, say: Say, *, environment: Mapping[str, str], every: float = PROGRESS_SECONDS
) -> None:
    """Download one model after another. One that fails does not stop the others. Raises `SetupError` at the end."""
    if not models:
        say("The catalog names no models: see docs/models.md.\n")
    failed: list[str] = []
    async with aiohttp.ClientSession(trust_env=True, timeout=TIMEOUT) as session:
        for model in models:
            hub = Hub.of(model.source, session, environment)
            say(f"{model.id}: {model.repository} from {hub.endpoint}\n")
            task = asyncio.ensure_future(pull(model, store, hub, now=utc_now(), clock=time.monotonic))
            while not (await asyncio.wait({task}, timeout=every))[0]:
                say(f"{model.id}: {store.part_bytes(model.id) // MB} of about {int(model.size) // MB} MB\n")
            try:
                say(f"{model.id}: {_words(task.result(), model)}\n")
            except SetupError as error:
                failed.append(f"{model.id}: {error}")
    if failed:
        raise SetupError("Not all models are there:\n{listing}", listing="\n".join(failed))


def _words(done: Pulled, model: Model) -> str:
    size = f"{done.size / MB:.1f} MB"
    text = f"{size} in {done.seconds:.0f} s" if done.is_new else f"{size}, is there already"
    if abs(done.size - int(model.size)) > SIZE_OFF * done.size:
        text += f". The catalog says another size: write {done.size} there"
    return text


async def find_newer(place: Place, ids: Sequence[str], environment: Mapping[str, str]) -> frozenset[str]:
    """Ids of models that are there and of which the hub has something newer. Raises `SetupError`."""
    there = [model for model in place.chosen(ids) if place.store.has(model)]
    async with aiohttp.ClientSession(trust_env=True, timeout=TIMEOUT) as session:
        found = await asyncio.gather(
            *(is_newer(model, place.store, Hub.of(model.source, session, environment)) for model in there)
        )
    return frozenset(model.id for model, newer in zip(there, found, strict=True) if newer)


def table(place: Place, ids: Sequence[str], newer: frozenset[str]) -> list[str]:
    """One line for each model: id, state, size, licence, where from."""
    rows = [("MODEL", "STATE", "MB", "LICENCE", "FROM")]
    for model in place.chosen(ids):
        manifest = place.store.manifest(model.id)
        size = manifest.size if manifest else int(model.size)
        source = f"{model.source}:{model.repository}@{model.wanted_revision}"
        rows.append((model.id, state_of(model, place.store, newer), f"{size // MB}", model.licence, source))
    for other in place.store.ids() if not ids else ():
        if other not in {model.id for model in place.catalog.models}:
            manifest = place.store.manifest(other)
            size = manifest.size if manifest else 0
            rows.append((other, "not in the catalog", f"{size // MB}", manifest.licence if manifest else "", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def state_of(model: Model, store: Store, newer: frozenset[str]) -> str:
    """In words: there, missing, broken off, or other than the catalog or the hub has it."""
    if store.has(model):
        return "newer at the hub" if model.id in newer else "there"
    if store.version(model.id):
        return "other than the catalog says: pull"
    part = store.part_bytes(model.id)
    return f"broke off at {part // MB} MB: pull" if part else "missing: pull"


def _verify(place: Place, ids: Sequence[str], say: Say) -> None:
    names = [model.id for model in place.chosen(ids)] if ids else place.store.ids()
    broken = []
    for name in names:
        damage = place.store.damage(name) if place.store.version(name) else ["(not there)"]
        say(f"{name}: {'no damage' if not damage else ', '.join(damage)}\n")
        broken += [name] if damage else []
    if broken:
        raise SetupError(
            "Damaged or missing: {names}.",
            next_step="`freepool models remove` and `freepool models pull` bring them anew.",
            names=", ".join(broken),
        )


def _remove(place: Place, ids: Sequence[str], say: Say) -> None:
    known = {*place.store.ids(), *(model.id for model in place.catalog.models)}
    for name in ids:
        if name not in known:
            raise BadOption(
                "Unknown model: {name}.", next_step="Available: {known}.", name=name, known=", ".join(sorted(known))
            )
    with place.store.locked():
        for name in ids:
            say(f"{name}: {place.store.remove(name) // MB} MB are free again\n")
