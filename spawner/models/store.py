"""The folder of models, and what is in it.

    STORE/ID/VERSION/model.json    what it is: a `Manifest`
    STORE/ID/VERSION/files/…       the files; all can read them, nobody writes them again
    STORE/ID/current               a link to the version: it appears when everything is there and checked
    STORE/.part/ID-VERSION/files   a download that goes on, or that broke off
    STORE/.pulls.json              sizes and seconds of the last downloads

A new version replaces `current` at once. The version before it stays until the next one, because notebooks that run
have links to its files.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spawner.catalog import Model
from spawner.errors import SetupError
from spawner.instance.model_links import CURRENT, FILES, MANIFEST

PART, PULLS, LOCK, TRASH = ".part", ".pulls.json", ".lock", ".trash"
PULLS_KEPT = 20
BLOCK = 4 * 1024**2


@dataclass(frozen=True)
class StoredFile:
    """A file of a model. `path` is inside the repository; `git` is git's SHA-1 of the content."""

    path: str
    size: int
    sha256: str
    git: str


@dataclass(frozen=True)
class Manifest:
    """What a version is. `commit` is the hub's, or derived from the contents where the hub names none; `seconds` is
    how long the download took, `pulled_at` an ISO time."""

    source: str
    repository: str
    revision: str
    commit: str
    licence: str
    libraries: tuple[str, ...]
    patterns: tuple[str, ...]
    files: tuple[StoredFile, ...]
    seconds: float
    pulled_at: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def is_of(self, model: Model) -> bool:
        """Whether this is what the catalog asks for now."""
        return (self.source, self.repository, self.revision, self.patterns, self.libraries) == (
            str(model.source), model.repository, model.wanted_revision, model.files, tuple(map(str, model.libraries)),
        )  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Raises `OSError` and `ValueError`."""
        try:
            fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            for name in ("libraries", "patterns"):
                fields[name] = tuple(fields[name])
            fields["files"] = tuple(StoredFile(**one) for one in fields["files"])
            return cls(**fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a manifest: {error}") from None

    def write(self, path: Path) -> None:
        """Readable by all."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), encoding="utf-8")
        path.chmod(0o644)


@dataclass(frozen=True)
class Pull:
    """A download of the past."""

    bytes: int
    seconds: float


class Store:
    """Reads and changes the folder. Reading needs no lock: what is visible is whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def version(self, model_id: str) -> str | None:
        """The version that instances see; None where the model is not there."""
        with contextlib.suppress(OSError):
            return str((self.folder / model_id / CURRENT).readlink())
        return None

    def manifest(self, model_id: str) -> Manifest | None:
        """Of the version that instances see; None where the model is not there, or cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            return Manifest.read(self.folder / model_id / CURRENT / MANIFEST)
        return None

    def has(self, model: Model) -> bool:
        """Whether what the catalog asks for is there."""
        found = self.manifest(model.id)
        return found is not None and found.is_of(model)

    def ids(self) -> list[str]:
        """Models that are there, in the catalog or not."""
        with contextlib.suppress(OSError):
            found = (entry.name for entry in self.folder.iterdir())
            return sorted(name for name in found if not name.startswith(".") and self.version(name))
        return []

    def files(self, model_id: str) -> Path:
        """The folder of a model's files."""
        return self.folder / model_id / CURRENT / FILES

    def part(self, model_id: str, version: str) -> Path:
        """The folder of a download."""
        return self.folder / PART / f"{model_id}-{version}"

    def part_bytes(self, model_id: str) -> int:
        """Bytes of downloads of a model that go on, or that broke off."""
        total = 0
        for part in self._parts(model_id):
            for path in part.rglob("*"):
                with contextlib.suppress(OSError):  # it was moved meanwhile
                    total += path.stat().st_size if path.is_file() else 0
        return total

    def _parts(self, model_id: str) -> list[Path]:
        found = (self.folder / PART).glob(f"{model_id}-*")
        return [path for path in found if path.name.rpartition("-")[0] == model_id]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One command at a time changes the folder. Raises `SetupError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if (mode := self.folder.stat().st_mode) & 0o055 != 0o055:
                self.folder.chmod(mode | 0o555)
            lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SetupError(
                "The folder of models {folder} cannot be written: {why}.",
                next_step="Check its owner and its rights, or name another with `models` in the settings.",
                folder=self.folder,
                why=error.strerror,
            ) from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SetupError(
                    "Another `freepool models` is changing {folder}.",
                    next_step="Wait until it has ended.",
                    folder=self.folder,
                ) from None
            except OSError as error:
                if error.errno != errno.ENOLCK:  # a network's file system without locks
                    raise
            yield
        finally:
            os.close(lock)

    def publish(self, model_id: str, version: str) -> None:
        """Make a finished download visible, and remove versions older than the one before."""
        before, home = self.version(model_id), self.folder / model_id
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        part = self.part(model_id, version)
        if part.exists():
            shutil.rmtree(home / version, ignore_errors=True)  # not visible, so damaged or given up
            part.rename(home / version)
        self.show(model_id, version)
        for old in home.iterdir():
            if old.name not in (version, before, CURRENT):
                shutil.rmtree(old, ignore_errors=True)
        for other in self._parts(model_id):
            shutil.rmtree(other, ignore_errors=True)

    def show(self, model_id: str, version: str) -> None:
        """Have `current` name a version, in one step."""
        link = self.folder / model_id / f".{CURRENT}"
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        link.replace(self.folder / model_id / CURRENT)

    def remove(self, model_id: str) -> int:
        """Remove a model with its downloads that broke off. Returns the bytes that are free again."""
        freed = 0
        for path in (self.folder / model_id, *self._parts(model_id)):
            if path.exists():
                trash = self.folder / f"{TRASH}-{path.name}"
                path.rename(trash)
                freed += sum(one.lstat().st_blocks * 512 for one in trash.rglob("*") if one.is_file())
                shutil.rmtree(trash)
        return freed

    def damage(self, model_id: str) -> list[str]:
        """Paths of a model's files that are missing or changed. Reads all of them."""
        found = self.manifest(model_id)
        if found is None:
            return [MANIFEST]
        return [file.path for file in found.files if not _is_intact(self.files(model_id) / file.path, file)]

    def pulls(self) -> list[Pull]:
        """The last downloads."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return [Pull(**one) for one in json.loads((self.folder / PULLS).read_text())]
        return []

    def note_pull(self, size: int, seconds: float) -> None:
        """Remember how long a download took."""
        kept = [*self.pulls(), Pull(size, round(seconds, 1))][-PULLS_KEPT:]
        draft = self.folder / f"{PULLS}.new"
        draft.write_text(json.dumps([asdict(one) for one in kept]))
        draft.chmod(0o644)
        draft.replace(self.folder / PULLS)


def expected_seconds(model: Model, pulls: Sequence[Pull]) -> int | None:
    """How long a download would take: what the catalog says, else at the median speed of downloads here."""
    if model.seconds is not None:
        return model.seconds
    speeds = sorted(one.bytes / one.seconds for one in pulls if one.seconds > 0 and one.bytes > 0)
    return max(1, round(int(model.size) / speeds[len(speeds) // 2])) if speeds else None


def digests(path: Path) -> tuple[str, str]:
    """SHA-256, and git's SHA-1, of a file's content. Raises `OSError`."""
    sha256, git = hashlib.sha256(), hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            sha256.update(block)
            git.update(block)
    return sha256.hexdigest(), git.hexdigest()


def _is_intact(path: Path, file: StoredFile) -> bool:
    try:
        return path.stat().st_size == file.size and digests(path)[0] == file.sha256
    except OSError:
        return False
