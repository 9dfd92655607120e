"""The catalog of a process: the file's, or the last one without mistakes that a process here has read.

A process that is restarted while the file has mistakes uses the copy, and logs that.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from spawner.catalog import Catalog, load_catalog
from spawner.errors import CatalogInvalid
from spawner.settings import Settings

log = logging.getLogger("freepool.catalog")
NAME = "catalog.last-good.yaml"


@dataclass(frozen=True)
class ReadCatalog:
    """A catalog. `mistakes`: of the file, where this is not the file's but the copy."""

    catalog: Catalog
    mistakes: CatalogInvalid | None = None


def read_catalog(settings: Settings) -> ReadCatalog:
    """The file's catalog, of which a copy is kept in the state folder; the copy where the file has mistakes.

    Raises `CatalogInvalid` where it has mistakes and there is no good copy.
    """
    copy = settings.state / NAME
    try:
        catalog = load_catalog(settings.catalog)
    except CatalogInvalid as error:
        try:
            kept = load_catalog(copy)
        except CatalogInvalid:
            raise error from None
        log.error("The catalog has mistakes and is NOT in use, but the last one without is. The mistakes: %s", error)
        return ReadCatalog(kept, error)
    _keep(settings.catalog, copy)
    return ReadCatalog(catalog)


def _keep(path: Path, copy: Path) -> None:
    """Programs of one machine share the state folder, and start at the same time."""
    new = copy.with_name(f"{copy.name}.{os.getpid()}")
    with contextlib.suppress(OSError):  # another chart's hub may have no state folder that it can write to
        shutil.copyfile(path, new)
        new.replace(copy)
