"""A model cache as `freepool models pull` leaves it, without a hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spawner.instance.model_links import FILES, MANIFEST
from spawner.models.store import Manifest, Store, StoredFile, digests

TINY = {"config.json": b'{"model_type": "qwen2"}', "weights/model.safetensors": b"weights"}


def make_store(
    folder: Path,
    contents: Mapping[str, bytes] = TINY,
    *,
    model_id: str = "tiny",
    repository: str = "Qwen/Tiny1.5",
) -> Store:
    """A store with one model, which both hubs have."""
    store, version = Store(folder), "0123456789ab"
    with store.locked():
        part = store.part(model_id, version)
        for path, data in contents.items():
            (part / FILES / path).parent.mkdir(parents=True, exist_ok=True)
            (part / FILES / path).write_bytes(data)
        files = [StoredFile(path, len(data), *digests(part / FILES / path)) for path, data in contents.items()]
        Manifest(
            source="modelscope", repository=repository, revision="master", commit="a" * 40, licence="MIT",
            libraries=("modelscope", "huggingface"), patterns=("*",), files=tuple(files), seconds=1,
            pulled_at="2026-11-01T00:00:00+00:00",
        ).write(part / MANIFEST)  # fmt: skip
        store.publish(model_id, version)
    return store
