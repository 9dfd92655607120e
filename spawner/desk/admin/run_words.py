"""How runs ended, and in which state they are, in a few words for administrators."""

from __future__ import annotations

from spawner.ledger.pool.end_texts import END_TEXTS

STATES: dict[str, str] = {
    "starting": "Starting",
    "running": "Running",
    "stopping": "Stopping",
    "ended": "Ended",
}
ENDS: dict[str, str] = {reason.value: text.short for reason, text in END_TEXTS.items()}
"""By the value of an end reason. The desk translates the words."""
PAID_STATES: dict[str, str] = {
    "intended": "Starting",
    "creating": "Starting",
    "unknown": "Checking whether it was created",
    "active": "Running",
    "recovered": "Found running",
    "stopping": "Stopping",
    "stopped": "Stopped",
    "deleting": "Deleting",
    "gone": "Deleted",
    "rejected": "Not created",
}
"""By the state of an order."""
