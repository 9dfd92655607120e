"""Errors of files, which no user reads as a page: Tornado's own is HTML."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


def write_plain_error(handler: Any, status: int) -> None:
    """For Tornado's `write_error`."""
    handler.set_header("Content-Type", "text/plain; charset=utf-8")
    handler.finish(f"{status} {HTTPStatus(status).phrase}\n")
