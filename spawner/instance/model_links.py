"""Links from the writable caches of modelscope and huggingface_hub into the platform's read-only model cache.

Each library knows one cache folder, and writes to it: locks, and a newer revision of a file. So the folders are the
instance's own, in the workspace, and each *file* is a link. A library that finds a newer file on its hub removes the
link and downloads into the workspace; the files that are the same stay links. Standard library only.

The store has a folder for each model, `ID/VERSION/model.json` and `ID/VERSION/files/…`; the link `ID/current` names
the version. It appears at once and whole (`spawner/models/store.py` writes it).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger("freepool.models")

MODELS_VARIABLE = "FREEPOOL_MODELS"
CURRENT, MANIFEST, FILES = "current", "model.json", "files"
MAIN = {"modelscope": "master", "huggingface": "main"}
"""The revision that a library asks for where its user names none."""

Stamp = tuple[tuple[str, str], ...]


def stamp(store: Path) -> Stamp:
    """What is there: ids and versions. Cheap, so it is compared before anything is linked anew."""
    found = []
    try:
        for entry in sorted(os.scandir(store), key=lambda each: each.name):
            try:
                found.append((entry.name, str(Path(entry.path, CURRENT).readlink())))
            except OSError:
                continue  # a folder that is being filled, or a file
    except OSError:
        return ()  # no such cache here
    return tuple(found)


def link_models(store: Path, environment: Mapping[str, str]) -> Stamp:
    """Link every model of the store where its libraries look. Returns what was linked; errors are logged."""
    found = stamp(store)
    for name, version in found:
        folder = store / name / version
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            for library in manifest["libraries"]:
                for path, target in _links(library, manifest, folder / FILES, environment):
                    _link(path, target, store)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("model %s is not linked: %s: %s", name, type(error).__name__, error)
    return found


def _links(
    library: str, manifest: Mapping[str, Any], files: Path, environment: Mapping[str, str]
) -> Iterator[tuple[Path, str]]:
    """Paths and what they lead to. Writes what cannot be a link."""
    safe = manifest["repository"].replace("/", "--")
    if library == "modelscope":
        snapshots = Path(environment["MODELSCOPE_CACHE"]) / "models" / safe / "snapshots"
        for revision in {manifest["revision"], MAIN[library]}:
            for one in manifest["files"]:
                yield snapshots / revision / one["path"], str(files / one["path"])
        return
    hub = environment.get("HF_HUB_CACHE") or f"{environment['HF_HOME']}/hub"
    folder, commit = Path(hub) / f"models--{safe}", manifest["commit"]
    for one in manifest["files"]:
        # huggingface_hub names contents by SHA-256 (LFS) or by git's SHA-1, and keeps what it has by that name.
        for blob in (one["sha256"], one["git"]):
            yield folder / "blobs" / blob, str(files / one["path"])
        up = "../" * (one["path"].count("/") + 2)
        yield folder / "snapshots" / commit / one["path"], f"{up}blobs/{one['sha256']}"
    for revision in {manifest["revision"], MAIN[library]} - {commit}:
        reference = folder / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)


def _link(path: Path, target: str, store: Path) -> None:
    """Make a link. What a user or a library has put there stays; a link to an older version is replaced."""
    try:
        there = str(path.readlink())
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a file
    else:
        if there == target or not Path(there).is_relative_to(store):
            return
        path.unlink()
    path.symlink_to(target)
