"""The platform's model cache: a folder that `freepool models` fills, and that instances see read-only."""

from spawner.models.store import Manifest, Store, StoredFile

__all__ = ["Manifest", "Store", "StoredFile"]
