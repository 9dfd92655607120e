"""What is wanted, within which limits, and why it was not fetched. Nothing here does I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

LONGEST_DETAILS = 1000


class FetchFailed(Exception):
    """`code` is `bad_link`, `no_git`, `timed_out`, `too_large`, `too_many`, `no_file`, `not_a_notebook`, `disk_full`,
    `failed` or a code of `git.CAUSES`. `details` is what git or the system said."""

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(f"{code} {details}".strip())
        self.code, self.details = code, details[-LONGEST_DETAILS:]


@dataclass(frozen=True)
class Limits:
    """Bytes of a copy with its history and of one file, files, seconds."""

    bytes: int = 1024**3
    file_bytes: int = 50 * 1024**2
    files: int = 20_000
    seconds: float = 300.0


@dataclass(frozen=True)
class Wanted:
    """One of `git` and `url`. The desk has checked them; what would change what a command means is refused again."""

    git: str = ""
    ref: str = ""
    path: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        """Raises `FetchFailed`."""
        address, parts = self.git or self.url, PurePosixPath(self.path).parts
        if bool(self.git) == bool(self.url) or not address.startswith("https://") or not address.isprintable():
            raise FetchFailed("bad_link")
        if self.ref.startswith("-") or not self.ref.isprintable() or " " in self.ref:
            raise FetchFailed("bad_link")
        if self.path.startswith("/") or ".." in parts or not self.path.isprintable() or "\\" in self.path:
            raise FetchFailed("bad_link")

    @property
    def mark(self) -> str:
        """What tells copies of different links apart. No space at its end: git's output is read without."""
        return f"{self.git or self.url} {self.ref}".strip()

    @property
    def name(self) -> str:
        """For its folder or file."""
        last = unquote(urlsplit(self.git or self.url).path).rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
        return re.sub(r"[^\w.@+-]", "_", last).strip(".")[:100] or "repository"
