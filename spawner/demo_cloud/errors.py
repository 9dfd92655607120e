"""Error responses of the cloud's API."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A response with an HTTP status of 400 or more. `extra` is added to its JSON body, `headers` to its headers."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **extra: object
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers, self.extra = dict(headers or {}), extra
