"""Proof that a request to the hub over the network is the desk's or the steward's own, which is not rate-limited.

Such requests come for many users from one address. Over a Unix socket they need no proof.
"""

from __future__ import annotations

import hmac

HEADER = "X-Freepool-Sibling"
PURPOSE = b"freepool sibling v1"


def proof(service_token: str) -> str:
    """The header's value, from the token of the service. The token itself is not sent beside a user's."""
    return hmac.new(service_token.encode(), PURPOSE, "sha256").hexdigest()


def is_proven(given: str | None, proofs: tuple[str, ...]) -> bool:
    """Whether a header is one of these proofs."""
    return given is not None and any(hmac.compare_digest(given.encode(), one.encode()) for one in proofs)
