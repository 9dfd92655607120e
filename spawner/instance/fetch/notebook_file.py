"""One notebook file from an address."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from spawner.instance.fetch.wanted import FetchFailed, Limits, Wanted


async def fetch_file(root: Path, wanted: Wanted, limits: Limits, certificates: Path | None = None) -> str:
    """Its name in `root`. One that is there already with these contents is opened again. Raises `FetchFailed`."""
    client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=limits.file_bytes)
    try:
        request = HTTPRequest(
            wanted.url,
            follow_redirects=False,
            decompress_response=False,  # the limit is one of what arrives
            request_timeout=limits.seconds,
            ca_certs=None if certificates is None else str(certificates),
        )
        answer = await client.fetch(request, raise_error=False)
    except (OSError, ValueError, HTTPClientError) as error:
        raise FetchFailed("too_large" if "too large" in str(error).lower() else "unreachable", str(error)) from None
    finally:
        client.close()
    if answer.code == 599:
        is_large = "too l" in str(answer.error).lower() or "too l" in str(answer.reason).lower()
        raise FetchFailed("too_large" if is_large else "unreachable", str(answer.error))
    if answer.code != 200:
        raise FetchFailed("redirected" if 300 <= answer.code < 400 else "not_found", f"status {answer.code}")
    try:
        found = json.loads(answer.body)
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
                _write(stream, answer.body, place)
            return place.name
        except FileExistsError:
            if place.is_file() and not place.is_symlink() and place.read_bytes() == answer.body:
                return place.name
    raise FetchFailed("too_many")


def _write(stream: BinaryIO, content: bytes, place: Path) -> None:
    """Of a file that the disk has no room for nothing is left."""
    try:
        stream.write(content)
        stream.flush()
    except OSError:
        place.unlink(missing_ok=True)
        raise
