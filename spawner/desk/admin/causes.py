"""Why something is full, and what to do about failures, in words for administrators."""

from __future__ import annotations

from spawner.catalog import Catalog
from spawner.desk.admin.titles import flavor_title
from spawner.desk.durations import size
from spawner.desk.i18n import Translations
from spawner.ledger import EndReason
from spawner.pool.shortage import Shortage

LIMIT_REACHED = "All {total} that the catalog allows are in use."
MEMORY_USED = (
    "The pool's memory is in use: {used} of {total}, by {users}. One more needs {needed}. Stop some of these, or add "
    "memory."
)
MEMORY_SMALL = "The pool's memory is too small: it has {total}, and one needs {needed}."
LESS_ROOM = "Fewer than the catalog allows: {used} of the pool's memory of {total} are in use, by {users}."
LESS_MEMORY = "Fewer than the catalog allows: the pool has {total} of memory, and one needs {needed}."
FAILURE_STEPS: dict[EndReason, str] = {
    EndReason.CRASHED: "If it is always the same image, start it yourself and read its log.",
    EndReason.OUT_OF_MEMORY: "Offer a machine type with more memory, or raise this one's.",
    EndReason.OUT_OF_DISK: "Raise the disk of this machine type, or ask users for smaller downloads.",
    EndReason.EVICTED: "Check disk and memory of the nodes: kubectl describe node.",
    EndReason.NO_IMAGE: "Check the image's name and the pull secret: kubectl describe pod shows the reason.",
    EndReason.START_FAILED: "Read the details in the list of failures, then the hub's log at that time.",
    EndReason.LOST: "The machine or node went away: check it.",
    EndReason.NO_ROOM: "Add nodes, or lower the limits of other machine types.",
}


def less_room_text(shortage: Shortage, catalog: Catalog, texts: Translations) -> str:
    """Why fewer can start than the limit says."""
    needed, used, total = (size(value, texts.language) for value in (shortage.needed, shortage.used, shortage.total))
    if not shortage.users:
        return texts.say(LESS_MEMORY, total=total, needed=needed)
    return texts.say(LESS_ROOM, used=used, total=total, users=_users(shortage, catalog, texts))


def _users(shortage: Shortage, catalog: Catalog, texts: Translations) -> str:
    return texts.comma.join(
        f"{count} × {flavor_title(catalog, name, texts.language)}" for name, count in shortage.users
    )


def shortage_text(shortage: Shortage, catalog: Catalog, texts: Translations) -> str:
    """One or two sentences."""
    if not shortage.is_memory:
        return texts.say(LIMIT_REACHED, total=shortage.total)
    needed, used, total = (size(value, texts.language) for value in (shortage.needed, shortage.used, shortage.total))
    if not shortage.users or shortage.needed > shortage.total:
        return texts.say(MEMORY_SMALL, total=total, needed=needed)
    return texts.say(MEMORY_USED, used=used, total=total, users=_users(shortage, catalog, texts), needed=needed)
