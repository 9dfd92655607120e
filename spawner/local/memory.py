"""Which programs the kernel ends first where this machine runs out of memory."""

from __future__ import annotations

import contextlib
from pathlib import Path

LAST_TO_GO = -500
"""The oom_score_adj of the supervisor, which its programs and their keepers inherit. Sandboxes set their own."""


def spare_the_platform(file: Path = Path("/proc/self/oom_score_adj")) -> None:
    """Have the kernel end other programs first, where this user may ask for that (root, or CAP_SYS_RESOURCE)."""
    with contextlib.suppress(OSError):
        if int(file.read_text()) > LAST_TO_GO:
            file.write_text(str(LAST_TO_GO))
