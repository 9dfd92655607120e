"""GET /metrics: all metrics in Prometheus' text format."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from spawner.aio import Recent
from spawner.desk.admin.pages import is_admin
from spawner.desk.admin.platform_metrics import free_space, platform_exposition
from spawner.desk.context import Desk
from spawner.desk.http import Handler
from spawner.desk.status import Status
from spawner.errors import NotAllowed
from spawner.pool.build import utc_now

METRICS_SCOPE = "read:metrics"


class MetricsHandler(Handler):
    """For the platform's own token for metrics, for administrators, and for tokens with JupyterHub's scope for them."""

    wants_json = True  # its errors are JSON
    serves_unaccepted = True  # a change of the terms must not blind the monitoring

    def initialize(self, desk: Desk, status: Recent[Status]) -> None:
        """`status` is the look that the status page shows."""
        super().initialize(desk)
        self.status = status

    async def identify(self) -> Any:
        """JupyterHub's model of the user, or of a service. The platform's own token counts while the hub is away."""
        own, given = self.desk.metrics_token, self.hub_auth.get_token(self, in_cookie=False)
        if own and given and hmac.compare_digest(own.encode(), given.encode()):
            self.needs_person, self._token_authenticated = False, True
            return {"kind": "service", "name": "metrics", "scopes": [METRICS_SCOPE]}
        user = await self.hub_auth.get_user(self, sync=False)
        self.needs_person = (user or {}).get("kind", "user") == "user"  # who may be banned
        return self.check_hub_user(user) if user else None

    async def get(self) -> None:
        """Read the metrics from the ledger, in a thread. While the database is away, those that need none."""
        assert self.current_user is not None  # `prepare` checked it
        user = self.current_user
        if METRICS_SCOPE not in user["scopes"] and not is_admin(self.hub_auth, user):
            raise NotAllowed(
                "This token cannot read metrics.",
                next_step="Give it a role with the scopes read:metrics and access:services!service=desk.",
            )
        status = await self.status.get()
        parts: list[bytes] = []
        if status.works["database"]:
            parts = [await self.desk.ledger.aread(exposition, now=utc_now()) for exposition in self.desk.expositions]
        parts.append(platform_exposition(status, await asyncio.to_thread(free_space, self.desk.settings)))
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(b"".join(parts))
