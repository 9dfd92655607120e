"""The key by which an instance knows the platform: for requests that its user's browser and programs may not make.

It is derived from the slot's claim key, so that platform and agent have it without a message. The agent keeps it in its
memory only, and requests with it go to the slot's own address, not through the proxy.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

HEADER = "X-Freepool-Report"
"""Carries the key as hexadecimal digits."""
SETTING = "freepool_report_key"
"""The key's name in the server's Tornado settings."""
_PURPOSE = b"freepool report v1\0"


def report_key(slot_key: bytes) -> bytes:
    """The key (32 bytes) of a slot with this claim key."""
    return hmac.digest(slot_key, _PURPOSE, "sha256")


def is_platform(headers: Mapping[str, str], key: bytes | None) -> bool:
    """Whether a request carries the key. False where the server has none."""
    return key is not None and hmac.compare_digest(headers.get(HEADER, "").encode(), key.hex().encode())
