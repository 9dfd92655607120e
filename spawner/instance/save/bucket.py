"""Uploads files of a workspace to a bucket of the user's own, each as an object below a prefix."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spawner.instance.save.changes import readable
from spawner.instance.save.s3 import Bucket, StoreRefused


@dataclass(frozen=True)
class Uploaded:
    """What was uploaded: numbers of files and bytes. `vanished`: files that were deleted meanwhile."""

    files: int
    bytes: int
    vanished: int


async def upload(root: Path, paths: Sequence[str], bucket: Bucket, prefix: str) -> Uploaded:
    """Upload the files one after another. Raises `StoreRefused` at the first that is refused."""
    folder = "/".join(part for part in prefix.split("/") if part not in ("", ".", ".."))
    files = total = 0
    for path in paths:
        try:
            source = (root / path).open("rb")
        except OSError:
            continue
        with source:
            name = f"{folder}/{readable(path)}" if folder else readable(path)
            total += await asyncio.to_thread(bucket.put, name, source)
        files += 1
    return Uploaded(files, total, len(paths) - files)


__all__ = ["Bucket", "StoreRefused", "Uploaded", "upload"]
