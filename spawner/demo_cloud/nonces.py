"""Protection against replayed requests."""

from __future__ import annotations

from collections import OrderedDict

from spawner.demo_cloud.errors import ApiError

MAX_NONCES = 100_000
"""Far more than arrive within the signatures' tolerance of 15 minutes."""


class Nonces:
    """The last `MAX_NONCES` nonces of signed requests."""

    def __init__(self) -> None:
        self._used: OrderedDict[str, None] = OrderedDict()

    def use(self, nonce: str) -> None:
        """Record a nonce. Raises `ApiError` if it is empty or was used before."""
        if not nonce or nonce in self._used:
            raise ApiError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._used[nonce] = None
        while len(self._used) > MAX_NONCES:
            self._used.popitem(last=False)
