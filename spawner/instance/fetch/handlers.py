"""The server's handlers about open links: the desk has a file fetched; a user gets the link of a file."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, RequestHandler, authenticated

from spawner.instance import desk_key
from spawner.instance.archive import may
from spawner.instance.fetch.link import link_of
from spawner.instance.fetch.notebook_file import fetch_file
from spawner.instance.fetch.paths import LINK, OPEN
from spawner.instance.fetch.repository import fetch_repository
from spawner.instance.fetch.wanted import FetchFailed, Limits, Wanted

SETTING = "freepool_fetches"
WAIT_SECONDS = 2.0
"""How long an answer waits for a fetch; the desk asks again. Most are done by then."""


async def fetch(root: Path, wanted: Wanted, certificates: str = "", limits: Limits | None = None) -> str:
    """The path to open, relative to `root`; a copy that is there already is left as it is. Raises `FetchFailed`.

    `certificates`: PEM of those to trust in place of the system's; empty: the system's.
    """
    limits = limits or Limits()
    fetch_one = fetch_repository if wanted.git else fetch_file
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(certificates)
            file.flush()
            async with asyncio.timeout(limits.seconds):
                return await fetch_one(root, wanted, limits, Path(file.name) if certificates else None)
    except TimeoutError:
        raise FetchFailed("timed_out") from None
    except OSError as error:
        raise FetchFailed("disk_full" if error.errno in (28, 122) else "failed", str(error)) from None


class Fetches:
    """Those of this server, by what is wanted: the same link pressed twice is fetched once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._tasks: dict[Wanted, asyncio.Task[str]] = {}

    async def state_of(
        self, wanted: Wanted, certificates: str = "", *, seconds: float = WAIT_SECONDS
    ) -> dict[str, Any]:
        """`state` is working, done (with `path`) or failed (with `code`, `details`).

        A failed one is tried again when it is asked for again.
        """
        if wanted not in self._tasks:
            if any(not task.done() for task in self._tasks.values()):
                return {"state": "working"}  # one at a time; it is begun when it is asked for again
            self._tasks[wanted] = asyncio.create_task(fetch(self._root, wanted, certificates))
        task = self._tasks[wanted]
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            return {"state": "working"}
        self._tasks.pop(wanted, None)  # another request may have done it
        try:
            return {"state": "done", "path": task.result()}
        except FetchFailed as error:
            return {"state": "failed", "code": error.code, "details": error.details}


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise HTTPError(400)
    return value


class OpenHandler(RequestHandler):
    """POST /freepool/open: for the desk, after its user's press. It is no use of the notebook."""

    def check_xsrf_cookie(self) -> None:
        """No cookie is involved."""

    async def post(self) -> None:
        """Fetch, or say how far it is."""
        if not desk_key.is_desk(self.request.headers, self.settings.get(desk_key.SETTING, "")):
            raise HTTPError(403)
        try:
            fields = json.loads(self.request.body)
            wanted = Wanted(**{name: _text(fields, name) for name in ("git", "ref", "path", "url")})
        except (ValueError, AttributeError):
            raise HTTPError(400) from None
        except FetchFailed as error:
            self.finish({"state": "failed", "code": error.code, "details": error.details})
            return
        fetches: Fetches = self.settings.setdefault(SETTING, Fetches(Path(self.settings["server_root_dir"])))
        self.finish(await fetches.state_of(wanted, _text(fields, "certificates")))


class LinkHandler(JupyterHandler):
    """GET freepool/link?path="""

    _track_activity = False

    @authenticated
    async def get(self) -> None:
        """The link's query, or null: the file is in no repository that others can reach."""
        if not await may(self, "read"):
            raise HTTPError(403)
        root = Path(os.fspath(self.settings["server_root_dir"]))
        found = await link_of(root, self.get_query_argument("path", "")[:4096])
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"query": urlencode(found, quote_via=quote) if found else None}))


def fetch_routes(base_url: str) -> list[tuple[str, Any]]:
    """The routes of these handlers."""
    return [(OPEN, OpenHandler), (url_path_join(base_url, LINK), LinkHandler)]
