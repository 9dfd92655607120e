"""Loads of JupyterHub's own database at its start, without a query for each server or each account.

JupyterHub loads running servers with their users and `populate_existing()`, which refreshes a user at each row that
names it. That undoes its own eager loading: five queries for each server. It also loads every account with roles and
groups, and uses only the names. `docs/decisions/0013-jupyterhub-at-scale.md` has what upstream could change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, lazyload

Method = Callable[..., Awaitable[Any]]


def keep_loaded(state: ORMExecuteState) -> None:
    """What eager loading has filled stays as it is: the session is new, so nothing in it is old."""
    if state.is_select and state.execution_options.get("populate_existing"):
        state.update_execution_options(populate_existing=False)


def load_accounts_alone(state: ORMExecuteState) -> None:
    """All accounts without their roles and groups, which are loaded for those that are used."""
    is_accounts = state.is_select and not state.is_relationship_load and not state.is_column_load
    entities = [found.get("entity") for found in getattr(state.statement, "column_descriptions", ())]
    if is_accounts and entities == [orm.User] and getattr(state.statement, "whereclause", None) is None:
        state.statement = state.statement.options(lazyload(orm.User.roles), lazyload(orm.User.groups))


@contextmanager
def _changed(change: Callable[[ORMExecuteState], None]) -> Iterator[None]:
    event.listen(Session, "do_orm_execute", change)
    try:
        yield
    finally:
        event.remove(Session, "do_orm_execute", change)


def _with(method: Method, change: Callable[[ORMExecuteState], None]) -> Method:
    @wraps(method)
    async def changed(self: JupyterHub) -> Any:
        with _changed(change):
            return await method(self)

    return changed


def load_few() -> None:
    """Wrap `init_spawners` and `init_users`, once."""
    if not hasattr(JupyterHub.init_spawners, "__wrapped__"):
        JupyterHub.init_spawners = _with(JupyterHub.init_spawners, keep_loaded)
        JupyterHub.init_users = _with(JupyterHub.init_users, load_accounts_alone)
