"""Saves documents that are open on the server, where `jupyter-server-ydoc` holds them.

It writes each change to the disk after a second by itself. This waits for the writes that are still to come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

EXTENSION = "jupyter_server_ydoc"
SAVE_SECONDS = 3.0


async def save_documents(settings: Mapping[str, Any], *, seconds: float = SAVE_SECONDS) -> dict[str, int]:
    """Wait until open documents are on the disk, at most for `seconds`. Returns numbers: of open documents, and of
    those whose write has not ended."""
    rooms = list(_rooms(settings))
    writes = [write for room in rooms if isinstance(write := getattr(room, "_saving_document", None), asyncio.Task)]
    open_writes = [write for write in writes if not write.done()]
    pending: set[Any] = set()
    if open_writes:
        _, pending = await asyncio.wait(open_writes, timeout=seconds)
    return {"documents": len(rooms), "unsaved": len(pending)}


def _rooms(settings: Mapping[str, Any]) -> Iterator[Any]:
    manager = getattr(settings.get("serverapp"), "extension_manager", None)
    for app in getattr(manager, "extension_apps", {}).get(EXTENSION, ()):
        server = getattr(app, "ywebsocket_server", None)
        yield from (room for room in getattr(server, "rooms", {}).values() if hasattr(room, "_saving_document"))
