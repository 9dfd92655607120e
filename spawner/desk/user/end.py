"""Why an instance has ended, for a JupyterLab page whose server is gone.

That page is on another host and has no cookie here, and its server's token is revoked. It knows an address of which the
key is an HMAC of the instance's id, so only a client that was given that address gets the answer. It says what the
user reads on the home page, and no name.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel
from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound
from tornado.web import HTTPError

from spawner.catalog import Catalog
from spawner.desk.context import Desk
from spawner.desk.durations import size
from spawner.desk.http import JsonHandler
from spawner.desk.i18n import LANGUAGES, Translations
from spawner.desk.user.ends import cause_text, files_text
from spawner.ledger.bundles import bundles
from spawner.ledger.bundles.rows import Bundle
from spawner.ledger.pool import instances
from spawner.ledger.pool.rows import LIVE, EndReason, Instance
from spawner.pool.build import utc_now

LONGEST_KEY = 100


class EndView(BaseModel):
    """`reason` and `text` are empty while it runs. `next_state`: of the instance that the same person has there now."""

    state: Literal["starting", "running", "stopping", "ended"]
    reason: str
    text: str
    ended_at: datetime | None
    next_state: Literal["starting", "running"] | None
    desk_url: str
    restart_url: str


def end_key(secret: str, instance_id: str) -> str:
    """The key in the address of an instance's end. `secret` is the desk's."""
    return hmac.digest(secret.encode(), b"freepool end v1\0" + instance_id.encode(), "sha256").hex()


def desk_url(desk: Desk) -> str:
    """The home page, as a link in an instance's page: absolute where instances have hosts of their own."""
    return f"{desk.settings.subdomain_host or ''}{desk.base}"


def end_url(desk: Desk, instance_id: str) -> str:
    """Where an instance's page asks why the instance has ended."""
    query = urlencode({"key": end_key(desk.settings.secret("desk"), instance_id)})
    return f"{desk_url(desk)}api/end/{instance_id}?{query}"


def restart_url(desk: Desk, instance: Instance) -> str:
    """The home page with the same machine type and image chosen. It starts nothing."""
    return f"{desk_url(desk)}?{urlencode({'flavor': instance.flavor, 'image': instance.image})}"


def text_of_end(
    instance: Instance,
    reason: EndReason,
    catalog: Catalog,
    texts: Translations,
    *,
    now: datetime,
    bundle: Bundle | None = None,
) -> str:
    """What the person reads. Out of memory: with the limit."""
    parts = [cause_text(instance, reason, texts)]
    flavor = next((each for each in catalog.flavors if each.id == instance.flavor), None)
    if reason is EndReason.OUT_OF_MEMORY and flavor is not None:
        limit = size(int(flavor.memory), texts.language)
        parts.append(texts.say("Its memory limit was {size}.", size=limit))
    return texts.together(*parts, files_text(instance, reason, bundle, texts, now))


def _read(connection: Connection, instance_id: str) -> tuple[Instance, Instance | None, Bundle | None] | None:
    """The instance; the one that the same person has under the same server name now; what is kept of its files."""
    try:
        instance = instances.get(connection, instance_id)
    except NoResultFound:
        return None
    latest = instances.latest(connection, instance.person_id, instance.server_name)
    is_next = latest is not None and latest.id != instance.id and latest.state in LIVE
    return instance, latest if is_next else None, bundles.of_instance(connection, instance_id)


class EndHandler(JsonHandler):
    """GET /api/end/ID?key=: by address. The limiter counts it as any other request of that address."""

    needs_user = False
    serves_user_hosts = True

    def set_default_headers(self) -> None:
        """Pages of any origin may read it: it takes no cookie."""
        super().set_default_headers()
        self.set_header("Access-Control-Allow-Origin", "*")

    async def get(self, instance_id: str) -> None:
        """404 for a wrong key as for an unknown instance."""
        key = self.get_query_argument("key", "")[:LONGEST_KEY]
        if not hmac.compare_digest(key.encode(), end_key(self.desk.settings.secret("desk"), instance_id).encode()):
            raise HTTPError(404)
        found = await self.desk.ledger.aread(_read, instance_id)
        if found is None:
            raise HTTPError(404)
        self.answer(self._view(*found))

    def _view(self, instance: Instance, latest: Instance | None, bundle: Bundle | None) -> EndView:
        wanted = self.get_query_argument("language", "")
        texts = self.desk.texts[wanted] if wanted in LANGUAGES else self.language_texts
        reason = instance.reason if instance.state not in LIVE else None
        fields: dict[str, Any] = {
            "state": instance.state.value,
            "reason": reason.value if reason else "",
            "text": text_of_end(instance, reason, self.desk.catalog, texts, now=utc_now(), bundle=bundle)
            if reason
            else "",
            "ended_at": instance.died_at or instance.stopping_at or instance.ended_at if reason else None,
            "next_state": latest.state.value if latest else None,
            "desk_url": desk_url(self.desk),
            "restart_url": restart_url(self.desk, instance),
        }
        return EndView(**fields)
