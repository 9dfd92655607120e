"""What only the user's page and API need."""

from __future__ import annotations

from dataclasses import dataclass, field

from spawner.desk.paid.context import PaidParts
from spawner.desk.user.session_changes import SessionChanges
from spawner.desk.user.shared_state import SharedStateReader
from spawner.desk.user.snapshot import SnapshotReader
from spawner.desk.user_locks import UserLocks
from spawner.pool.queue.admission import Admission
from spawner.pool.time.extensions import Extensions


@dataclass
class UserParts:
    """One per process. `paid` is None where no paid instances are offered."""

    admission: Admission
    snapshots: SnapshotReader
    paid: PaidParts | None
    extensions: Extensions
    session_changes: SessionChanges
    shared: SharedStateReader
    restart_locks: UserLocks = field(default_factory=UserLocks)
    """Held during a stop and the start after it, so that of two such requests the second stops nothing that the first
    has started."""
