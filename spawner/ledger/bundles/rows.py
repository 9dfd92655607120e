"""Records of bundles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class BundleState(StrEnum):
    """State of a bundle. There is no state after the deletion: its row, and so its key, is deleted."""

    MAKING = "making"
    KEPT = "kept"
    FAILED = "failed"


@dataclass(frozen=True)
class Bundle:
    """Files of one instance, encrypted with `key` (32 bytes, hexadecimal). Deleting the row is deleting the files."""

    id: str
    person_id: str
    instance_id: str
    state: BundleState
    key: str
    store: str
    bytes: int | None
    files: int | None
    made_at: datetime
    expires_at: datetime
    fetched_at: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True)
class KeepChoice:
    """The person wants their changed files kept after an end that they did not ask for."""

    person_id: str
    chosen_at: datetime
