"""Style sheet, scripts and pictures of the hub's pages. The hub serves them itself: the desk may be away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyterhub.handlers.static import CacheControlStaticFilesHandler
from tornado.web import HTTPError, StaticFileHandler

from spawner.plain_errors import write_plain_error
from spawner.request_ids import set_request_id

OWN = Path(__file__).parent / "static"
DESKS = Path(__file__).parents[2] / "desk" / "static" / "shared"
SHARED = ("page.css", "report.css", "report.js", "logo.svg", "favicon.svg")
FILES = {path.name: path for path in (*OWN.glob("*.*"), *(DESKS / name for name in SHARED))}


class AssetHandler(StaticFileHandler):
    """GET /hub/freepool/NAME"""

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:  # noqa: ARG003
        """404 for any other name."""
        if path not in FILES:
            raise HTTPError(404)
        return str(FILES[path])

    def set_default_headers(self) -> None:
        """The id of the request."""
        set_request_id(self)

    def write_error(self, status_code: int, **_: Any) -> None:
        """A line of text."""
        write_plain_error(self, status_code)

    def validate_absolute_path(self, root: str, absolute_path: str) -> str:  # noqa: ARG002
        """It is one of ours."""
        return absolute_path

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002
        """It is the same for every visitor."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Cache-Control", "public, max-age=300")


def write_plain_errors() -> None:
    """For JupyterHub's own files, too."""
    CacheControlStaticFilesHandler.write_error = AssetHandler.write_error


def handlers() -> list[tuple[str, Any, dict[str, Any]]]:
    """The route, for one hub."""
    return [(r"/freepool/([a-z_]+\.[a-z]+)", AssetHandler, {"path": str(OWN)})]
