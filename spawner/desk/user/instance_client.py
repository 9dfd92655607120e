"""Asks a user's running instance, at its slot's address, with a key that opens this one instance only.

The user's token is never sent there: programs in the notebook could use it for all that the user may do. The request
does not pass the proxy, so JupyterHub does not take it for a use of the notebook.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp

from spawner.instance.arguments import ARCHIVE
from spawner.instance.desk_key import HEADER, desk_key
from spawner.instance.fetch.paths import OPEN
from spawner.instance.save.paths import DESK_CHANGES, UNPACK
from spawner.ledger import Instance

CHANGES_SECONDS = 2.0
"""Somebody waits for the answer before they stop their notebook."""
UNPACK_SECONDS = 300.0
FETCH_SECONDS = 10.0
"""The instance answers within two seconds, done or not."""
LARGEST_ANSWER = 512 * 1024
"""Bytes: 200 names of files."""


class InstanceRefused(Exception):
    """The instance answered with this status; 0: it did not answer, or not with what was asked."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


def user_path(user_name: str) -> str:
    """Path of the user's default server."""
    return f"/user/{quote(user_name, safe='@~')}/"


def files_url(user_name: str) -> str:
    """URL from which a browser downloads all files of the default server, on the hub's host, which leads to the
    notebook's own."""
    return user_path(user_name) + ARCHIVE


async def read_changes(instance: Instance, secret: str) -> dict[str, Any]:
    """What would be lost: see `spawner.instance.save.changes`. `secret` is the desk's. Raises `InstanceRefused`."""
    return await _call("GET", instance, DESK_CHANGES, secret, seconds=CHANGES_SECONDS)


async def unpack(instance: Instance, secret: str, pieces: AsyncIterator[bytes]) -> dict[str, Any]:
    """Put the files of a zip into the workspace. Returns counts: `files`, `beside`, `refused`. Raises
    `InstanceRefused`, and what `pieces` raises."""
    return await _call("POST", instance, UNPACK, secret, seconds=UNPACK_SECONDS, data=pieces)


async def fetch_link(instance: Instance, secret: str, wanted: dict[str, str]) -> dict[str, Any]:
    """Have the instance fetch what a link names: see `spawner.instance.fetch.handlers`. Raises `InstanceRefused`."""
    return await _call("POST", instance, OPEN, secret, seconds=FETCH_SECONDS, json=wanted)


async def _call(
    method: str, instance: Instance, path: str, secret: str, *, seconds: float, **kwargs: Any
) -> dict[str, Any]:
    headers = {HEADER: desk_key(secret, instance.id)}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.request(
                method, f"{instance.url}{path}", headers=headers, allow_redirects=False, **kwargs
            ) as answer,
        ):
            if answer.status != 200:
                raise InstanceRefused(answer.status)
            found = json.loads(await _read(answer.content))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
        raise InstanceRefused(0) from error
    if not isinstance(found, dict):
        raise InstanceRefused(0)
    return found


async def _read(stream: aiohttp.StreamReader) -> bytes:
    """All of an answer. Raises `ValueError` where it is too long."""
    body = bytearray()
    async for piece in stream.iter_any():
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise ValueError("the answer is too long")
    return bytes(body)
