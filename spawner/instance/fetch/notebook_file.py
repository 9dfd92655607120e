"""One notebook file from an address."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, BinaryIO

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from spawner.instance.fetch.wanted import FetchFailed, Limits, Wanted

NO_LIMIT = 1 << 62


async def fetch_file(root: Path, wanted: Wanted, limits: Limits, certificates: Path | None = None) -> str:
    """Its name in `root`. One that is there already with these contents is opened again. Raises `FetchFailed`."""
    content = await _download(wanted, limits, certificates)
    try:
        found = json.loads(content)
        is_notebook = isinstance(found, dict) and isinstance(found.get("nbformat"), int)
    except (ValueError, RecursionError):
        is_notebook = False
    if not is_notebook:
        raise FetchFailed("not_a_notebook")
    name = wanted.name if wanted.name.endswith(".ipynb") else f"{wanted.name}.ipynb"
    for number in range(1, 100):
        place = root / (name if number == 1 else f"{name.removesuffix('.ipynb')}-{number}.ipynb")
        try:
            with place.open("xb") as stream:
                _write(stream, content, place)
            return place.name
        except FileExistsError:
            if place.is_file() and not place.is_symlink() and place.read_bytes() == content:
                return place.name
    raise FetchFailed("too_many")


async def _download(wanted: Wanted, limits: Limits, certificates: Path | None) -> bytes:
    """The body of the answer. Raises `FetchFailed`.

    Tornado closes the connection at a body above its own limit, and does not say why. So ours ends the download.
    """
    content, is_full = bytearray(), asyncio.Event()

    def take(block: bytes) -> None:
        if len(content) + len(block) > limits.file_bytes:
            is_full.set()
        else:
            content.extend(block)

    request = HTTPRequest(
        wanted.url,
        follow_redirects=False,
        decompress_response=False,  # the limit is one of what arrives
        request_timeout=limits.seconds,
        ca_certs=None if certificates is None else str(certificates),
        streaming_callback=take,
    )
    client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=NO_LIMIT)
    fetching = asyncio.ensure_future(client.fetch(request, raise_error=False))
    filling = asyncio.create_task(is_full.wait())
    try:
        tasks: list[asyncio.Future[Any]] = [fetching, filling]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if is_full.is_set():
            raise FetchFailed("too_large")
        answer = await fetching
    except (OSError, ValueError, HTTPClientError) as error:
        raise FetchFailed("unreachable", str(error)) from None
    finally:
        fetching.cancel()
        filling.cancel()
        client.close()
    if answer.code == 599:
        raise FetchFailed("unreachable", str(answer.error))
    if answer.code != 200:
        raise FetchFailed("redirected" if 300 <= answer.code < 400 else "not_found", f"status {answer.code}")
    return bytes(content)


def _write(stream: BinaryIO, content: bytes, place: Path) -> None:
    """Of a file that the disk has no room for nothing is left."""
    try:
        stream.write(content)
        stream.flush()
    except OSError:
        place.unlink(missing_ok=True)
        raise
