"""How runs ended, and in which state they are, in a few words for administrators."""

from __future__ import annotations

STATES: dict[str, str] = {
    "starting": "Starting",
    "running": "Running",
    "stopping": "Stopping",
    "ended": "Ended",
}
ENDS: dict[str, str] = {
    "stopped": "Stopped by the user",
    "cancelled": "Start cancelled by the user",
    "shut_down": "Shut down in JupyterLab",
    "deadline": "Time limit reached",
    "idle": "Stopped because it was idle",
    "crashed": "Exited on its own",
    "out_of_memory": "Out of memory",
    "out_of_disk": "Disk full",
    "evicted": "Evicted: node ran out of resources",
    "no_room": "No server had capacity",
    "no_image": "Image pull failed",
    "start_failed": "Start failed",
    "lost": "Lost",
    "superseded": "Replaced by a new start",
    "shutdown": "The platform was shut down",
    "orphaned": "No longer known to the platform",
    "surplus": "Was not needed",
    "not_collected": "The user did not come in time",
    "maintenance": "Maintenance",
    "banned": "The user was banned",
    "administrator": "Stopped by an administrator",
    "guard": "Stopped by a rule of the guard",
}
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
