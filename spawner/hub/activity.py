"""JupyterHub's round over the proxy's routes, without a query for each of them.

JupyterHub selects the user of every route from its database, one after the other, and holds its loop until all are
written: with 2,000 running servers that is most of a core. Here only activity that has changed is written, to rows that
are in memory already, in parts between which other requests are answered. Routes are compared with the servers when
some are missing, as after the restart of a proxy, and every minute.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from sqlalchemy.exc import SQLAlchemyError

WRITTEN_AT_ONCE = 100
"""Routes whose activity is written before the loop serves others: some 10 ms."""
CHECK_SECONDS = 60.0
"""At most so long after the last comparison routes are compared with the servers again."""

Routes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Activity:
    """What the proxy says of one route. `at` is as the proxy writes it."""

    spec: str
    user_name: str
    server_name: str
    at: str


def activities(routes: Routes) -> Iterator[Activity]:
    """Of the routes of users' servers that have activity. Some proxies do not know it."""
    for spec, route in routes.items():
        data = route["data"]
        if "user" in data and "server_name" in data and "last_activity" in data:
            yield Activity(spec, data["user"], data["server_name"], data["last_activity"])


def naive_utc(at: str) -> datetime:
    """A time as JupyterHub's tables have it. configurable-http-proxy writes ISO 8601."""
    found = datetime.fromisoformat(at)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


@dataclass
class ActivityRounds:
    """The rounds of one hub."""

    app: Any
    monotonic: Callable[[], float] = time.monotonic
    _seen: dict[str, str] = field(default_factory=dict)
    """By route: the activity that is written."""
    _checked_at: float = float("-inf")

    async def run(self) -> None:
        """One round."""
        routes: Routes = await self.app.proxy.get_all_routes()
        self._seen = {spec: at for spec, at in self._seen.items() if spec in routes}
        changed = [one for one in activities(routes) if self._seen.get(one.spec) != one.at]
        for first in range(0, len(changed), WRITTEN_AT_ONCE):
            if not self._write(changed[first : first + WRITTEN_AT_ONCE]):
                return
            await asyncio.sleep(0)
        if self._lacks_routes(routes) or self.monotonic() - self._checked_at >= CHECK_SECONDS:
            self._checked_at = self.monotonic()
            # It reads them again: servers may have come and gone since.
            await self.app.proxy.check_routes(self.app.users, self.app._service_map)

    def _write(self, part: list[Activity]) -> bool:
        """Write some activities. False where the database failed."""
        app = self.app
        users = {user.name: user for user in app.users.values()}
        for one in part:
            user, spawner = self._rows(users.get(one.user_name), one)
            if user is not None and spawner is not None:
                at = naive_utc(one.at)
                for row in (user, spawner):
                    row.last_activity = at if row.last_activity is None else max(row.last_activity, at)
        try:
            app.db.commit()
        except SQLAlchemyError:
            app.log.exception("Rolling back session due to database error")
            app.db.rollback()
            return False
        self._seen |= {one.spec: one.at for one in part}
        return True

    def _rows(self, user: Any, one: Activity) -> tuple[Any, Any]:
        """The rows of user and server: those in memory, else from the database."""
        if user is not None and one.server_name in user.spawners:
            return user.orm_user, user.spawners[one.server_name].orm_spawner
        row = orm.User.find(self.app.db, one.user_name)
        spawner = None if row is None else row.orm_spawners.get(one.server_name)
        if spawner is None:
            self.app.log.warning("Found no %s for route: %s", "user" if row is None else "spawner", one.spec)
        return row, spawner

    def _lacks_routes(self, routes: Routes) -> bool:
        """Whether there are fewer routes than servers that are ready, or none of the hub's own."""
        if self.app.hub.routespec not in routes:
            return True
        ready = sum(spawner.ready for user in self.app.users.values() for spawner in user.spawners.values())
        return sum("user" in route["data"] for route in routes.values()) < ready


async def _update_last_activity(app: JupyterHub) -> None:
    rounds: ActivityRounds = vars(app).setdefault("freepool_activity_rounds", ActivityRounds(app))
    await rounds.run()


def use_short_rounds() -> None:
    """Have JupyterHub read activity by these rounds, as often as `last_activity_interval` says."""
    JupyterHub.update_last_activity = _update_last_activity
