"""Imports JupyterHub's single-user server without the hub's database, which no notebook reads.

`jupyterhub.log` needs one class of the hub's pages, and its import brings the hub's handlers, tables, SQLAlchemy and
Alembic with it: a third of the import's processor time, and 30 MB for every instance. During the import placeholders
stand for these modules. Afterwards they are gone, so that other code imports the real ones, and the modules that hold
a placeholder reach the real one through it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

log = logging.getLogger("freepool.agent")
SERVER = "jupyterhub.singleuser.extension"


class _Placeholder(ModuleType):
    """A module that is imported when one of its names is used after the single-user server's import."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or sys.modules.get(self.__name__) is self:
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


class _Functions:
    """`sqlalchemy.func`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("sqlalchemy").func, name)


class _DatabaseError(Exception):
    """`sqlalchemy.exc.SQLAlchemyError`: nothing raises it where there is no database."""


class _HealthPage:
    """`jupyterhub.handlers.pages.HealthCheckHandler`: no request of a notebook server has it."""


NAMES: dict[str, dict[str, object]] = {
    "sqlalchemy": {"func": _Functions()},
    "sqlalchemy.exc": {"SQLAlchemyError": _DatabaseError},
    "jupyterhub.orm": {},
    "jupyterhub.handlers.pages": {"HealthCheckHandler": _HealthPage},
}
"""What the single-user server's modules take from each module at their import."""


def import_single_user() -> None:
    """Import the server. A JupyterHub that needs more of the database at its import gets it."""
    try:
        with _placeholders():
            import_module(SERVER)
    except (ImportError, AttributeError, TypeError) as error:
        log.info("JupyterHub's single-user server is imported with the database: %s", error)
        import_module(SERVER)


@contextmanager
def _placeholders() -> Iterator[None]:
    made = {name: _Placeholder(name) for name in NAMES if name not in sys.modules}
    for name, module in made.items():
        vars(module).update(NAMES[name])
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in made.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
