"""English texts of a session's notices and of its extension. The desk translates them."""

from __future__ import annotations

from spawner.ledger.time.rows import NoticeKind

NOTICE_TEXTS: dict[NoticeKind, tuple[str, str]] = {
    NoticeKind.DEADLINE: (
        "Your notebook ends in {time}",
        "Download the files you want to keep now. They are deleted at the end.",
    ),
    NoticeKind.GRACE: (
        "{time} more for the running cell",
        "Your notebook has reached its time limit, but a cell is still running. Save the result when it is done: all "
        "files are deleted at the end.",
    ),
    NoticeKind.MAINTENANCE: (
        "Maintenance in {time}",
        "Your notebook will be stopped for maintenance. Download the files you want to keep now. They are deleted at "
        "the end.",
    ),
    NoticeKind.IDLE: (
        "Are you still there?",
        "Your notebook is not being used. It will be stopped in {time}, and its files will be deleted.",
    ),
    NoticeKind.MESSAGE: ("Message from an administrator", ""),
    NoticeKind.CPU_OFFER: (
        "Your notebook is not using its GPU",
        "You can continue with a CPU machine type and keep your GPU hours for later. Download your files first: a new "
        "notebook starts empty.",
    ),
}
"""Title and text."""
KEPT_TEXTS: dict[NoticeKind, str] = {
    NoticeKind.DEADLINE: (
        "Then changed files are kept, up to {size}, and the rest is deleted. Download what you must not lose."
    ),
    NoticeKind.GRACE: (
        "Your notebook has reached its time limit, but a cell is still running. Save the result when it is done: at "
        "the end the changed files are kept, up to {size}, and all others are deleted."
    ),
    NoticeKind.MAINTENANCE: (
        "Your notebook will be stopped for maintenance. Then its changed files are kept, up to {size}, and all others "
        "are deleted. Download the files you must not lose."
    ),
    NoticeKind.IDLE: (
        "Your notebook is not being used. It will be stopped in {time}. Then its changed files are kept, up to {size}, "
        "and all others are deleted."
    ),
}
"""The text for users who have chosen to keep files. `size` is the most that is kept."""
GRACE_DEBITED = "The time is taken from your hours of next week."
EXTEND = "Extend by {time}"
NEXT_SECONDS = "a few seconds"
