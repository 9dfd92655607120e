"""`freepool check` of an installation: settings, catalog, the hub's own file, and whether the database can be used.

It changes nothing. All parts are checked, and each mistake says what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from spawner.catalog import Catalog, load_catalog
from spawner.errors import FreepoolError, SetupError
from spawner.ledger.engine import make_engine
from spawner.ledger.version import is_current
from spawner.settings import Settings, load_settings

LOOK_SECONDS = 1.0
"""Pause between attempts while the database does not answer."""


def run(path: Path, write: Callable[[str], object], *, hub_file: Path | None, database: bool, wait: float) -> None:
    """Check the installation whose settings these are. Raises `SetupError` with all mistakes."""
    settings = load_settings(path)
    mistakes: list[str] = []

    def check(what: str, part: Callable[[], Iterator[str]]) -> None:
        try:
            found = list(part())
        except FreepoolError as error:
            found = [str(error)]
        mistakes.extend(found)
        if not found:
            write(f"{what}: no mistakes.\n")

    check(f"catalog {settings.catalog}", lambda: _catalog(settings))
    if hub_file is not None:
        from spawner.hub.check import mistakes_in  # noqa: PLC0415  (JupyterHub takes a while to import)

        check(f"the hub's file {hub_file}", lambda: mistakes_in(hub_file))
    if database:
        check("database", lambda: _database(settings, wait, write))
    if mistakes:
        raise SetupError("This installation has mistakes:\n{listing}", listing="\n".join(mistakes))


def _catalog(settings: Settings) -> Iterator[str]:
    catalog = load_catalog(settings.catalog)
    if settings.kubernetes is not None:
        yield from _without_reference(catalog)


def _without_reference(catalog: Catalog) -> Iterator[str]:
    """The images that a cluster cannot pull, where somebody needs them."""
    lacking = {image.id for image in catalog.images if image.reference is None}
    if catalog.defaults.image in lacking:
        yield f"defaults.image: {catalog.defaults.image} has no reference, so no pod can be made of it. Add one."
    for example in catalog.examples:
        if example.image in lacking:
            yield f"examples: {example.id} is in the image {example.image}, which has no reference. Add one."


def _database(settings: Settings, wait: float, write: Callable[[str], object]) -> Iterator[str]:
    until = time.monotonic() + wait
    while True:
        try:
            if not is_current(make_engine(settings.ledger)):
                write("database: it will be migrated to this version. Back it up first.\n")
            return
        except ArgumentError:
            yield "database.url is not an address of SQLAlchemy's, such as postgresql+psycopg://USER:PASSWORD@HOST/NAME."
            return
        except OperationalError as error:
            why = (str(error.orig).strip() or "no reason given").splitlines()[0]
            if time.monotonic() >= until:
                yield f"The database is not responding: {why}. Check that it is running, its address, and its password."
                return
            time.sleep(LOOK_SECONDS)
        except SQLAlchemyError as error:
            yield f"The database cannot be used: {type(error).__name__}. Check its address and what its user may do."
            return
