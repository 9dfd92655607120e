"""How jupyter-server-ydoc and nbmodel are set up in an instance, and how ours takes nbmodel's place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MODULES = (
    "jupyter_server_fileid.extension",
    "jupyter_server_nbmodel.extension",
    "jupyter_server_ydoc.app",
    "pycrdt.websocket",
    "spawner.instance.execution.stack",
)
"""What the server imports for it."""


def is_installed() -> bool:
    """Whether the image has what runs cells on the server. An image of the administrator's own may lack it."""
    return all(find_spec(name) for name in ("jupyter_server_nbmodel", "jupyter_server_ydoc"))


def arguments(folder: str) -> list[str]:
    """Options of the server. `folder` is one that is not the user's workspace and ends with the instance.

    Documents stay on the server while it runs: with a delay, the notebook of a closed tab would be dropped while its
    cell runs. So their history is needed nowhere else, and none is written.
    """
    return [
        "--YDocExtension.document_cleanup_delay=None",
        "--YDocExtension.ystore_class=spawner.instance.execution.settings.NoStore",
        f"--YDocExtension.session_store_path={Path(folder) / 'sessions.json'}",
        "--BaseFileIdManager.db_path=:memory:",
    ]


def install() -> None:
    """Have nbmodel's extension use `Executions`. Before the server starts."""
    import jupyter_server_nbmodel.extension

    from spawner.instance.execution.stack import Executions

    jupyter_server_nbmodel.extension.ExecutionStack = Executions


def __getattr__(name: str) -> Any:
    """`NoStore` inherits from a class that an image may lack."""
    if name != "NoStore":
        raise AttributeError(name)
    from pycrdt.store import BaseYStore, YDocNotFound

    class NoStore(BaseYStore):
        """Keeps nothing: a document's history is as long-lived as the document."""

        def __init__(self, path: str, metadata_callback: Any = None, log: Any = None, **_: Any) -> None:
            self.path, self.metadata_callback, self.log = path, metadata_callback, log

        async def write(self, data: bytes) -> None:
            """Keep nothing."""

        async def read(self) -> AsyncIterator[tuple[bytes, bytes, float]]:
            """There is never anything."""
            raise YDocNotFound
            yield

    globals()["NoStore"] = NoStore
    return NoStore
