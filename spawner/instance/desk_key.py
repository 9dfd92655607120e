"""The key by which an instance knows the desk: for what the desk asks and does there for the instance's user.

The desk sends it in place of the user's token, which a program in the notebook could use elsewhere. The hub derives it
from the desk's secret and the instance's id, and hands it over with the claim. It opens nothing but this one instance's
own handlers, and requests with it go to the slot's own address, not through the proxy.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

VARIABLE = "FREEPOOL_DESK_KEY"
"""In the claim. The agent takes it out of the environment."""
HEADER = "X-Freepool-Desk"
"""Carries the key as hexadecimal digits."""
SETTING = "freepool_desk_key"
"""The key's name in the server's Tornado settings."""
_PURPOSE = b"freepool desk to instance v1\0"


def desk_key(secret: str, instance_id: str) -> str:
    """The key of an instance. `secret` is the desk's."""
    return hmac.digest(secret.encode(), _PURPOSE + instance_id.encode(), "sha256").hex()


def is_desk(headers: Mapping[str, str], key: str) -> bool:
    """Whether a request carries the key. False where the server has none."""
    return bool(key) and hmac.compare_digest(headers.get(HEADER, "").encode(), key.encode())
