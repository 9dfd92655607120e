"""The files of instances, in memory. They are deleted with the instance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class File:
    """One file; `data` is None for a folder."""

    path: str
    data: bytes | None
    modified: datetime


class Files:
    """The files of all instances."""

    def __init__(self) -> None:
        self._by_instance: dict[str, dict[str, File]] = {}

    def get(self, instance: str, path: str) -> File | None:
        """The file or folder with this path."""
        return self._by_instance.get(instance, {}).get(path)

    def put(self, instance: str, path: str, data: bytes | None, when: datetime) -> File:
        """Create or replace a file, or a folder where `data` is None."""
        file = File(path, data, when)
        self._by_instance.setdefault(instance, {})[path] = file
        return file

    def remove(self, instance: str, path: str) -> bool:
        """Delete a file, or a folder with its content. Returns whether it existed."""
        files = self._by_instance.get(instance, {})
        paths = [name for name in files if name == path or name.startswith(f"{path}/")]
        for name in paths:
            del files[name]
        return bool(paths)

    def within(self, instance: str, folder: str) -> Iterator[File]:
        """The direct content of a folder, by name."""
        prefix = f"{folder}/" if folder else ""
        for path, file in sorted(self._by_instance.get(instance, {}).items()):
            if path.startswith(prefix) and path != folder and "/" not in path[len(prefix) :]:
                yield file

    def wipe(self, instance: str) -> None:
        """Delete all files of an instance."""
        self._by_instance.pop(instance, None)
