"""The notebooks that are open on the server, and when they are written to disk while a cell runs.

`jupyter-server-ydoc` writes a notebook a second after its last change. A cell that prints all the time would never
let it come to that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from spawner.instance.execution.cell import SharedCell

SAVE_SECONDS = 5.0
"""Between two writes of a notebook whose cell runs."""
SHARE = 50
"""A write that takes a second is followed by the next one this many seconds later at the soonest."""


@dataclass
class Document:
    """A notebook's room, and the cell in it that runs."""

    room: Any
    cell: SharedCell
    _saved: float = field(default_factory=time.monotonic)
    _pause: float = SAVE_SECONDS
    _saving: asyncio.Task[None] | None = None

    def save_if_due(self, now: float) -> None:
        """Write the notebook to disk in the background, if it is time."""
        if now - self._saved >= self._pause and (self._saving is None or self._saving.done()):
            self._saved = now
            self._saving = asyncio.create_task(self._save())

    async def _save(self) -> None:
        began = time.monotonic()
        # With no former task to cancel, and known to no later one that would cancel it.
        await self.room._maybe_save_document(None, save_now=True)
        self._saved = time.monotonic()
        self._pause = max(SAVE_SECONDS, SHARE * (self._saved - began))

    async def save(self) -> None:
        """Write the notebook to disk now."""
        if self._saving is not None:
            with contextlib.suppress(Exception):
                await self._saving
        await self._save()


class Documents:
    """Finds the cell that a request is about. `extension` is that of jupyter-server-ydoc, None where there is none."""

    def __init__(self, extension: Any) -> None:
        self._extension = extension

    async def find(self, metadata: dict[str, Any]) -> Document | None:
        """The room and the cell; None where the notebook is not shared."""
        cell_id = metadata.get("cell_id")
        if self._extension is None or not cell_id:
            return None
        for room_id in filter(None, (metadata.get("document_id"), self._room_of(metadata.get("document_path")))):
            room = await self._room(room_id)
            ycell = _find(room, cell_id)
            if ycell is not None:
                return Document(room, SharedCell(ycell, partial(_find, room)))
        return None

    async def _room(self, room_id: str) -> Any:
        from jupyter_server_ydoc.websocketserver import RoomNotFound

        try:
            return await self._extension.ywebsocket_server.get_room(room_id)
        except RoomNotFound:
            return None

    def _room_of(self, path: str | None) -> str | None:
        if not path:
            return None
        file_id = self._extension.serverapp.web_app.settings["file_id_manager"].get_id(path.removeprefix("RTC:"))
        return f"json:notebook:{file_id}" if file_id else None


def _find(room: Any, cell_id: str) -> Any:
    """The code cell with an id in a room; None where there is none."""
    cells = getattr(getattr(room, "_document", None), "ycells", ())
    return next((cell for cell in cells if cell["id"] == cell_id and cell["cell_type"] == "code"), None)
