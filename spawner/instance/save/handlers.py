"""The server's handlers about saving. Those below its address are its user's; those at the root are the platform's."""

from __future__ import annotations

import asyncio
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, authenticated, stream_request_body

from spawner.instance import desk_key
from spawner.instance.archive import may, pieces_of
from spawner.instance.report_key import SETTING, is_platform
from spawner.instance.save.changes import MANIFEST, SCAN_SECONDS, Changes, Manifest, find_changes, pick, readable
from spawner.instance.save.paths import BUNDLE, BUNDLE_HEADER, CHANGES, DESK_CHANGES, LEFT_OUT_NAMES, SAVE_ALL, UNPACK
from spawner.instance.save.push_handlers import PUSH_ROUTES
from spawner.instance.save.restore import restore
from spawner.instance.save.rooms import save_documents

LARGEST_UNPACK = 2 * 1024**3
"""Bytes of a zip that is put back."""


def _root(handler: RequestHandler) -> Path:
    return Path(handler.settings["server_root_dir"])


def _manifest(handler: RequestHandler) -> Manifest:
    found: Manifest = handler.settings.get(MANIFEST, {})
    return found


class _Quiet(JupyterHandler):
    """Base of what is no use of the notebook: it does not keep one from being idle."""

    _track_activity = False

    async def require(self, action: str) -> None:
        """Raise 403 where the user may not do this with files."""
        if not await may(self, action):
            raise HTTPError(403)

    def answer(self, body: object) -> None:
        """Send JSON."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(body))


class ChangesHandler(_Quiet):
    """GET freepool/changes"""

    @authenticated
    async def get(self) -> None:
        """What would be lost: counts, bytes, and the largest files."""
        await self.require("read")
        found = await asyncio.to_thread(find_changes, _root(self), _manifest(self), seconds=SCAN_SECONDS)
        self.answer(found.shown())


class _ForDesk(RequestHandler):
    """Base of what only the desk may ask for, at the slot's own address. It is no use of the notebook."""

    def check_xsrf_cookie(self) -> None:
        """No cookie is involved."""

    def prepare(self) -> None:
        """Refuse before the body is read."""
        if not desk_key.is_desk(self.request.headers, self.settings.get(desk_key.SETTING, "")):
            raise HTTPError(403)


class DeskChangesHandler(_ForDesk):
    """GET /freepool/changes"""

    async def get(self) -> None:
        """The same as the user's own."""
        found = await asyncio.to_thread(find_changes, _root(self), _manifest(self), seconds=SCAN_SECONDS)
        self.finish(json.dumps(found.shown()))


class SaveAllHandler(_Quiet):
    """POST freepool/save-all"""

    @authenticated
    async def post(self) -> None:
        """Write open documents to the disk. Answers how many are open, and how many could not be written in time."""
        await self.require("write")
        self.answer(await save_documents(self.settings))


@stream_request_body
class UnpackHandler(_ForDesk):
    """POST /freepool/unpack: the body is a zip"""

    _file: IO[bytes] | None = None

    def prepare(self) -> None:
        """Open the file that takes the body."""
        super().prepare()
        connection: Any = self.request.connection
        connection.set_max_body_size(LARGEST_UNPACK)
        self._file = tempfile.TemporaryFile(dir=_root(self))  # noqa: SIM115  (closed in `on_finish`)

    def data_received(self, chunk: bytes) -> None:
        """Raises 507 where the disk is full."""
        if self._file is None:
            return
        try:
            self._file.write(chunk)
        except OSError as error:
            self._file.close()
            raise HTTPError(507, "The notebook's disk is full.") from error

    async def post(self) -> None:
        """Put the files into the workspace."""
        assert self._file is not None
        try:
            with self._file, zipfile.ZipFile(self._file) as archive:
                done = await asyncio.to_thread(restore, archive, _root(self), _manifest(self))
        except zipfile.BadZipFile as error:
            raise HTTPError(400, "This is no complete zip file.") from error
        except OSError as error:
            raise HTTPError(507, "The notebook's disk is full.") from error
        self.finish({"files": done.files, "beside": done.beside, "refused": done.refused})

    def on_finish(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()


class BundleHandler(RequestHandler):
    """POST /freepool/bundle: for the platform, at the slot's own address"""

    def check_xsrf_cookie(self) -> None:
        """No cookie is involved."""

    async def post(self) -> None:
        """The changed files as a zip, up to `limit` bytes. A header says how many, and which are left out."""
        if not is_platform(self.request.headers, self.settings.get(SETTING)):
            raise HTTPError(403)
        limit = int(json.loads(self.request.body)["limit"])
        await save_documents(self.settings)
        root = _root(self)
        changes: Changes = await asyncio.to_thread(find_changes, root, _manifest(self))
        picked = pick(changes, limit)
        names = [readable(file.path) for file in picked.left_out]
        self.set_header("Content-Type", "application/zip")
        self.set_header(BUNDLE_HEADER, _summary(len(picked.kept), picked.bytes, names))
        found = pieces_of(root, [(root / file.path, file.bytes) for file in picked.kept])
        while (piece := await asyncio.to_thread(next, found, None)) is not None:
            if piece:
                self.write(piece)
                try:
                    await self.flush()
                except StreamClosedError:
                    return


def _summary(files: int, size: int, left_out: Sequence[str]) -> str:
    """ASCII, short enough for a header."""
    named = [name[-200:] for name in left_out[:LEFT_OUT_NAMES]]
    return json.dumps({"files": files, "bytes": size, "left_out": named, "left_out_count": len(left_out)})


def save_routes(base_url: str) -> list[tuple[str, Any]]:
    """The routes of these handlers."""
    below = {CHANGES: ChangesHandler, SAVE_ALL: SaveAllHandler, **PUSH_ROUTES}
    at_slot = [(BUNDLE, BundleHandler), (DESK_CHANGES, DeskChangesHandler), (UNPACK, UnpackHandler)]
    return [*at_slot, *((url_path_join(base_url, path), handler) for path, handler in below.items())]
