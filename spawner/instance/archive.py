"""All of an instance's files as one zip, straight from its own server to its person's browser: nothing is kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from jupyter_server.base.handlers import JupyterHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from spawner.instance.save.changes import LEFT_OUT
from spawner.instance.save.rooms import save_documents

PIECE = 256 * 1024
LEFT_OUT_NAME = "freepool-left-out.txt"
"""Name of the archive's own list of what it lacks; there is one where something is missing."""
TITLE = "Not in this archive, or not whole:\n"
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, line ends, and marks that turn the direction of text."""


class _Pieces:
    """What a zip file is written to: it is sent on as it grows, and never held whole."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def _readable(part: str) -> str:
    """A part of a path as it can stand in an archive, which holds text: on disk it may be any bytes.

    What is no text becomes _, and a number, which follows from the bytes, keeps two such names apart.
    """
    try:
        part.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(part)
        said = Path(raw.decode(errors="replace").replace("\N{REPLACEMENT CHARACTER}", "_"))
        return f"{said.stem[:50]}-{zlib.crc32(raw):08x}{said.suffix[:10]}"  # no longer than a name may be
    return part


def _name(path: Path, root: Path) -> str:
    return "/".join(map(_readable, path.relative_to(root).parts)) or "."


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _look(path: Path, root: Path) -> tuple[BinaryIO, zipfile.ZipInfo] | str:
    """A file, open, and what the archive says of it; or why it is left out."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return f"link to {'/'.join(map(_readable, str(path.readlink()).split('/')))}"
        if not stat.S_ISREG(mode):
            return "not a regular file"
        info = zipfile.ZipInfo.from_file(path, _name(path, root), strict_timestamps=False)
        # It may have become a link or a pipe meanwhile.
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb"), info
    except OSError as error:
        return _why(error)


def pieces(root: Path) -> Iterator[bytes]:
    """A zip of all files below a folder, piece by piece.

    Links are left out: they may lead out of it. What is left out is listed in `LEFT_OUT_NAME`, but for what has a name
    of `LEFT_OUT`. A list that a user has unpacked with an older zip is not packed again.
    """
    left_out: list[str] = []

    def leave_out(path: Path, why: str) -> None:
        left_out.append(f"{UNSAFE.sub(_escaped, f'{_name(path, root)}: {why}')}\n")

    def listed() -> tuple[str, str] | None:
        return (LEFT_OUT_NAME, TITLE + "".join(sorted(left_out))) if left_out else None

    files = ((path, None) for path in _all_files(root, leave_out) if not _is_own_list(path, root))
    yield from pieces_of(root, files, leave_out=leave_out, last=listed)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _is_own_list(path: Path, root: Path) -> bool:
    with contextlib.suppress(OSError, UnicodeError):
        if path == root / LEFT_OUT_NAME and stat.S_ISREG(path.lstat().st_mode):
            with path.open(encoding="utf-8") as file:
                return file.readline() == TITLE
    return False


def _all_files(root: Path, leave_out: Callable[[Path, str], None]) -> Iterator[Path]:
    """Everything but folders. Without recursion: users nest folders deeper than Python its calls."""
    pending = [root]
    while pending:
        folder = pending.pop()
        folders = []
        try:
            with os.scandir(folder) as found:
                entries = sorted(
                    (entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in found
                )
        except OSError as error:
            leave_out(folder, _why(error))
            continue
        for name, is_folder, is_link in entries:
            if name in LEFT_OUT and (is_folder or is_link):
                continue
            if is_folder:
                folders.append(folder / name)
            else:
                yield folder / name
        pending += reversed(folders)


def pieces_of(
    root: Path,
    files: Iterable[tuple[Path, int | None]],
    *,
    leave_out: Callable[[Path, str], None] | None = None,
    last: Callable[[], tuple[str, str] | None] | None = None,
) -> Iterator[bytes]:
    """A zip of some files below a folder, piece by piece: of each its first bytes, or (None) all of them.

    `leave_out` is told of each file that cannot be read, and why. `last` gives the name and the text of one more file,
    after all others.
    """
    sink = _Pieces()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for path, size in files:
            found = _look(path, root)
            if isinstance(found, str):
                if leave_out is not None:
                    leave_out(path, found)
                continue
            source, info = found
            info.compress_type = zipfile.ZIP_DEFLATED
            left = size
            with source, archive.open(info, "w", force_zip64=True) as target:
                while data := _read(source, PIECE if left is None else min(PIECE, left), path, leave_out):
                    left = None if left is None else left - len(data)
                    target.write(data)
                    yield sink.take()
            yield sink.take()
        if last is not None and (more := last()) is not None:
            name, text = more
            taken = {path.split("/")[0].casefold() for path in archive.namelist()}
            while name.casefold() in taken:
                name = f"_{name}"
            archive.writestr(name, text)
    yield sink.take()


def _read(source: BinaryIO, size: int, path: Path, leave_out: Callable[[Path, str], None] | None) -> bytes:
    """The next bytes; none at the end, and where they cannot be read."""
    try:
        return source.read(size)
    except OSError as error:
        if leave_out is not None:
            leave_out(path, f"incomplete: {_why(error)}")
        return b""


class ArchiveHandler(JupyterHandler):
    """GET /freepool/files.zip"""

    @authenticated
    async def get(self) -> None:
        """Its owner's, through this server's own sign-in."""
        if not await may(self, "read"):
            raise HTTPError(403)
        self.set_header("Content-Type", "application/zip")
        self.set_header("Content-Disposition", 'attachment; filename="freepool-files.zip"')
        self.set_header("Cache-Control", "no-store")
        await save_documents(self.settings)
        found = pieces(Path(self.settings["server_root_dir"]))
        while (piece := await asyncio.to_thread(next, found, None)) is not None:
            if piece:
                self.write(piece)
                try:
                    await self.flush()
                except StreamClosedError:
                    return


async def may(handler: Any, action: str) -> bool:
    """Whether the server's authorizer lets the user read or write files."""
    found = handler.authorizer.is_authorized(handler, handler.current_user, action, "contents")
    return bool(await found if hasattr(found, "__await__") else found)
