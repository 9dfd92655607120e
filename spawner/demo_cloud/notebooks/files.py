"""The files in instances: in memory, by instance and path. They end with the instance."""

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
    """Of all instances."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, File]] = {}

    def get(self, instance: str, path: str) -> File | None:
        """The file or folder of this path."""
        return self._of.get(instance, {}).get(path)

    def put(self, instance: str, path: str, data: bytes | None, when: datetime) -> File:
        """Write it whole."""
        file = File(path, data, when)
        self._of.setdefault(instance, {})[path] = file
        return file

    def remove(self, instance: str, path: str) -> bool:
        """It, and all within it; whether there was any."""
        files = self._of.get(instance, {})
        doomed = [name for name in files if name == path or name.startswith(f"{path}/")]
        for name in doomed:
            del files[name]
        return bool(doomed)

    def within(self, instance: str, folder: str) -> Iterator[File]:
        """What lies directly in a folder, by name."""
        prefix = f"{folder}/" if folder else ""
        for path, file in sorted(self._of.get(instance, {}).items()):
            if path.startswith(prefix) and path != folder and "/" not in path[len(prefix) :]:
                yield file

    def wipe(self, instance: str) -> None:
        """All of an instance's."""
        self._of.pop(instance, None)
