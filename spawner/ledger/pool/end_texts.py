"""Why notebooks end, in words: one table for the pages, the lists of users and administrators, and messages.

The texts are English; the desk and the channels translate them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spawner.ledger.pool.rows import EndReason

DELETED = "Its files were deleted."
UNSAVED = "Its files could not be saved."
NO_FILES = ""


@dataclass(frozen=True)
class EndText:
    """Why a notebook has ended.

    `what`: a sentence to its user. `short`: a few words for lists, of administrators and, unless `own` has others, of
    the user. `files`: what became of its files, where it ran and none were kept.
    """

    what: str
    short: str
    own: str = ""
    files: str = DELETED


END_TEXTS: Mapping[EndReason, EndText] = {
    EndReason.STOPPED: EndText("Your notebook was stopped.", "Stopped by the user", "Stopped by you"),
    EndReason.RESTARTED: EndText("You restarted your notebook.", "Restarted by the user", "Restarted by you"),
    EndReason.SWITCHED: EndText("You switched to another notebook.", "Switched to another notebook"),
    EndReason.CANCELLED: EndText("Start cancelled.", "Start cancelled by the user", "Start cancelled", files=NO_FILES),
    EndReason.DEADLINE: EndText("Your notebook reached its time limit.", "Time limit reached"),
    EndReason.CRASHED: EndText("Your notebook exited on its own.", "Exited on its own"),
    EndReason.OUT_OF_MEMORY: EndText("Your notebook ran out of memory and was stopped.", "Out of memory"),
    EndReason.OUT_OF_DISK: EndText("Your notebook ran out of disk space and was stopped.", "Out of disk space"),
    EndReason.EVICTED: EndText(
        "We had to stop your notebook because its server ran out of resources. We are sorry.",
        "Evicted: node ran out of resources",
        "Its server ran out of resources",
    ),
    EndReason.NO_ROOM: EndText("There was no capacity for another notebook.", "No capacity", files=NO_FILES),
    EndReason.NO_IMAGE: EndText(
        "The image of your notebook could not be downloaded.", "Its image could not be downloaded", files=NO_FILES
    ),
    EndReason.START_FAILED: EndText("Your notebook could not be started.", "Could not be started", files=NO_FILES),
    EndReason.LOST: EndText(
        "Your notebook was lost because of a problem on our side. We are sorry.",
        "Lost",
        "A problem on our side",
        files=UNSAVED,
    ),
    EndReason.SUPERSEDED: EndText("A new notebook has replaced this one.", "Replaced by a new notebook"),
    EndReason.SHUTDOWN: EndText("The platform was shut down and your notebook stopped.", "The platform was shut down"),
    EndReason.ORPHANED: EndText(
        "The platform had lost track of your notebook and stopped it.",
        "No longer known to the platform",
        "Stopped by the platform",
    ),
    EndReason.NOT_COLLECTED: EndText(
        "It was your turn, but you did not open your notebook in time. It went to the next person in the queue.",
        "Not opened in time",
        files=NO_FILES,
    ),
    EndReason.MAINTENANCE: EndText("Your notebook was stopped for maintenance.", "Stopped for maintenance"),
    EndReason.BANNED: EndText("Your account was banned and your notebook was stopped.", "Account banned"),
    EndReason.GUARD: EndText(
        "Your notebook was stopped by a rule of this platform: it used its processors fully for hours while "
        "nobody was there, or ran something that looks like a program that is not allowed here. If this was a "
        "mistake, contact the administrator.",
        "Stopped by a rule of this platform",
    ),
    EndReason.IDLE: EndText(
        "Nobody used your notebook for a while, so it was stopped.", "Stopped because it was not in use"
    ),
    EndReason.ADMINISTRATOR: EndText("An administrator stopped your notebook.", "Stopped by an administrator"),
    EndReason.SURPLUS: EndText("A notebook that nobody needed was stopped.", "Was not needed", files=NO_FILES),
    EndReason.SHUT_DOWN: EndText("You shut your notebook down in JupyterLab.", "Shut down in JupyterLab"),
}


def english(reason: EndReason) -> str:
    """What an English reader is told of a notebook that ran, of which no files were kept."""
    text = END_TEXTS[reason]
    return " ".join(filter(None, (text.what, text.files)))
