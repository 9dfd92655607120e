"""Links in an instance's page: to the desk, and to why the instance has ended, which is answered without a cookie."""

from __future__ import annotations

import hmac
from urllib.parse import urlencode

from spawner.desk.context import Desk
from spawner.ledger import Instance


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
