"""Where encrypted bundles lie: a folder of the state folder, or a bucket of the platform's. All of it blocks."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from spawner.errors import SetupError
from spawner.instance.save.s3 import PIECE, Bucket, StoreRefused
from spawner.instance.save.signing import Keys
from spawner.settings import Settings

NAME = re.compile(r"[0-9a-f]{8,64}")
FOLDER, BUCKET = "folder", "bucket"
"""Values of the column `store`."""
PART = ".part"


class Store(Protocol):
    """Named objects. Names are ids of bundles. Each method raises `OSError` or `StoreRefused`."""

    kind: str

    def put(self, name: str, source: Path) -> None:
        """Store a file's bytes, whole or not at all. The file may be moved."""
        ...

    def get(self, name: str) -> Iterator[bytes]:
        """The bytes. Raises `FileNotFoundError` or `StoreRefused` where there are none."""
        ...

    def delete(self, name: str) -> None:
        """Delete the bytes; none there is fine."""
        ...

    def names(self) -> list[str]:
        """Of all that is stored."""
        ...


class FolderStore:
    """Files with mode 0600 in a folder with mode 0700."""

    kind = FOLDER

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, source: Path) -> None:
        """The file is renamed: `source` lies in the same file system."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        source.chmod(0o600)
        descriptor = os.open(source, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        source.rename(self._path(name))

    def get(self, name: str) -> Iterator[bytes]:
        """Opened at the first piece."""
        with self._path(name).open("rb") as stream:
            while piece := stream.read(PIECE):
                yield piece

    def delete(self, name: str) -> None:
        """Unlink the file."""
        self._path(name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Files that are no temporary ones."""
        with contextlib.suppress(FileNotFoundError):
            return [path.name for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return []

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ValueError(name)
        return self.folder / name


class BucketStore:
    """Objects below a prefix."""

    kind = BUCKET

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    def put(self, name: str, source: Path) -> None:
        """One request: an object is there whole or not at all."""
        with source.open("rb") as stream:
            self._bucket.put(self._prefix + name, stream)
        source.unlink()

    def get(self, name: str) -> Iterator[bytes]:
        """One request."""
        return self._bucket.get(self._prefix + name)

    def delete(self, name: str) -> None:
        """One request."""
        self._bucket.delete(self._prefix + name)

    def names(self) -> list[str]:
        """Objects below the prefix whose name is one of ours."""
        found = (name.removeprefix(self._prefix) for name in self._bucket.names(self._prefix))
        return [name for name in found if NAME.fullmatch(name)]


def bundles_folder(settings: Settings) -> Path:
    """Where bundles are written, and lie where no bucket is set."""
    return settings.state / "bundles"


def open_store(settings: Settings) -> Store:
    """The store of an installation. Raises `SetupError` where a bucket's key cannot be read, `StoreRefused` where the
    bucket's parts are not valid."""
    chosen = settings.bundles
    if chosen.endpoint is None:
        return FolderStore(bundles_folder(settings))
    keys = Keys(*(_key(chosen.key_folder, name) for name in ("key-id", "key-secret")))
    bucket = Bucket(
        endpoint=chosen.endpoint,
        bucket=chosen.bucket,
        region=chosen.region,
        keys=keys,
        path_style=chosen.path_style,
        insecure=True,  # the platform's own network may have no TLS; the bytes are encrypted
    )
    return BucketStore(bucket, chosen.prefix)


def _key(folder: Path | None, name: str) -> str:
    path = (folder or Path()) / name
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SetupError(
            "The key of the bucket for kept files cannot be read: {path}: {why}.",
            next_step="Put the access key's id and secret into the files key-id and key-secret of bundles.key_folder.",
            path=path,
            why=error.strerror or error,
        ) from None


__all__ = ["BucketStore", "FolderStore", "Store", "StoreRefused", "bundles_folder", "open_store"]
