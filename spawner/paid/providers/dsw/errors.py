"""Map the SDK's exceptions, and failures that it does not raise, to `ProviderError`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from alibabacloud_tea_openapi import exceptions as sdk

from spawner.paid.providers import base
from spawner.paid.providers.calls import Expired
from spawner.paid.providers.dsw.assumptions import DswAssumptions
from spawner.paid.providers.messages import say

WRAPPED = re.compile(r"code: \d+, (.*) request id: \S*", re.DOTALL)


class Translator:
    """`secrets` of the session are removed from messages, because the cloud may quote the request."""

    def __init__(self, assumptions: DswAssumptions, *, mutates: bool, secrets: Iterable[str]) -> None:
        self._assumed, self._mutates, self._secrets = assumptions, mutates, tuple(secrets)

    def open(self, *, code: str = "", said: str = "", request_id: str = "") -> base.ProviderError:
        """The error for an unknown outcome."""
        kind = base.OutcomeUnknown if self._mutates else base.Unavailable
        return say(kind, code=code, said=said, request_id=request_id, secrets=self._secrets)

    def raised(self, error: Exception) -> Exception:
        """The error for an exception of the SDK."""
        if isinstance(error, sdk.ThrottlingException) and _status(error) in (400, 429):
            after = getattr(error, "retry_after", None)
            return self._throttled(error, after=after / 1000 if after else None)
        if isinstance(error, sdk.ClientException):
            return self.refused(_status(error), str(error.code or ""), _said(error), str(error.request_id or ""))
        if isinstance(error, sdk.AlibabaCloudException):
            return self.open(code=str(error.code or ""), said=_said(error), request_id=str(error.request_id or ""))
        # No connection, a truncated response, a proxy's page, a redirect. Its text may quote a header: only its name.
        inner = getattr(error, "inner_exception", None) or error
        return self.open(code=type(inner).__name__)

    def refused(self, status: int, code: str, said: str, request_id: str) -> Exception:
        """The error for a well-formed error response."""
        assumed, words = self._assumed, f"{code} {said}".lower()
        params = {"code": code, "said": said, "request_id": request_id, "secrets": self._secrets}
        if code.startswith("Throttling"):
            return say(base.Throttled, **params)  # type: ignore[arg-type]
        if code.startswith("InvalidTimeStamp"):
            return say(base.ClockSkew, **params)  # type: ignore[arg-type]
        if code == "SignatureNonceUsed":
            # A proxy or a retry below the SDK sent the request twice: the first one may have taken effect.
            return self.open(code=code, said=said, request_id=request_id)
        if code.startswith(assumed.expired_codes):
            return Expired()
        if code.startswith(assumed.auth_codes):
            return say(base.AuthLost, **params)  # type: ignore[arg-type]
        kind = self._kind(status, code, words)
        # The cloud's catch-all code may hide a success, at any status, unless the message matches known words.
        is_open = code.startswith(assumed.open_codes) and kind in (base.NotFound, base.Rejected)
        if is_open or not 400 <= status < 500:
            return self.open(code=code, said=said, request_id=request_id)
        return say(kind, **params)  # type: ignore[arg-type]

    def _kind(self, status: int, code: str, words: str) -> type[base.Rejected]:
        assumed = self._assumed
        if status == 404 and not code.startswith(assumed.not_there_unless):
            return base.NotFound
        if any(word in words for word in assumed.exists_words):
            return base.AlreadyExists
        if status == 409 or any(word in words for word in assumed.conflict_words):
            return base.Conflict
        if any(word in words for word in assumed.stock_words):
            return base.NoCapacity
        if code == "InsufficientBalance" or any(word in words for word in assumed.balance_words):
            return base.Insufficient
        return base.Rejected

    def checked(self, body: Any) -> Any:
        """The body of a 200 response. Raises if it reports a failure or could not be parsed."""
        if body is None:
            raise self.open(code="UnreadableAnswer")
        if getattr(body, "success", True) is False:
            code, said, request_id = (str(getattr(body, name, "") or "") for name in ("code", "message", "request_id"))
            status = int(getattr(body, "http_status_code", 0) or 0)
            if self._mutates or not 400 <= status < 500:
                raise self.open(code=code, said=said, request_id=request_id)
            raise self.refused(status, code, said, request_id)
        return body

    def _throttled(self, error: Any, *, after: float | None) -> base.Throttled:
        return say(
            base.Throttled,
            code=str(error.code or ""),
            said=_said(error),
            request_id=str(error.request_id or ""),
            secrets=self._secrets,
            after=after,
        )


def _said(error: Any) -> str:
    """The cloud's message, without the SDK's prefix and suffix."""
    match = WRAPPED.fullmatch(str(error.message or ""))
    return match[1] if match else str(error.message or "")


def _status(error: Any) -> int:
    return int(error.status_code or 0)
