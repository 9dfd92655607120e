"""English sentences for the steps of a start and for the ends of instances and tickets. The desk translates them."""

from __future__ import annotations

from spawner.ledger import EndReason, StartStep, TicketState

STEP_TEXTS: dict[StartStep, tuple[int, str]] = {
    StartStep.REQUESTED: (5, "Your request is noted"),
    StartStep.SLOT_WARM: (40, "A waiting instance is yours"),
    StartStep.OTHERS_FIRST: (15, "Several came at once; yours is made right after theirs"),
    StartStep.SLOT_CREATING: (20, "No instance was waiting, so a new one is being made (a few seconds)"),
    StartStep.SLOT_READY: (60, "The new instance is ready"),
    StartStep.CLAIMED: (70, "Handing it over to you"),
    StartStep.RETRYING: (25, "That instance did not answer; taking another one"),
    StartStep.POOL_AWAY: (20, "The pool does not answer just now; trying again"),
    StartStep.RUNNING: (100, "Your notebook is ready"),
    StartStep.FAILED: (100, "The start did not succeed"),
}

LAST_STEPS = (StartStep.RUNNING, StartStep.FAILED)

END_TEXTS: dict[EndReason, str] = {
    EndReason.STOPPED: "Your instance was stopped. Nothing of it was kept.",
    EndReason.CANCELLED: "The start was cancelled.",
    EndReason.DEADLINE: "Your instance reached the longest time that its shape allows, and was ended. "
    "Nothing of it was kept.",
    EndReason.CRASHED: "Your instance ended by itself. Nothing of it was kept.",
    EndReason.OUT_OF_MEMORY: "Your instance used more memory than its shape has and was ended. Nothing of it was kept.",
    EndReason.OUT_OF_DISK: "Your instance wrote more than its shape has room for and was ended. "
    "Nothing of it was kept.",
    EndReason.EVICTED: "The machine of your instance ran short, and the platform had to end it. We are sorry. "
    "Nothing of it was kept.",
    EndReason.NO_ROOM: "There was no room for another instance.",
    EndReason.NO_IMAGE: "The image of your instance could not be had.",
    EndReason.START_FAILED: "The last start did not succeed.",
    EndReason.LOST: "Your instance was lost by the platform. We are sorry. Nothing of it was kept.",
    EndReason.SUPERSEDED: "An earlier instance was ended to make place for a new one.",
    EndReason.SHUTDOWN: "The platform was shut down, and your instance with it. Nothing of it was kept.",
    EndReason.ORPHANED: "An instance that nobody looked after was ended.",
    EndReason.NOT_COLLECTED: "It was your turn, but you did not come in time, and your instance went to the next in "
    "line.",
    EndReason.MAINTENANCE: "The platform was closed for maintenance, and your instance with it. Nothing of it was "
    "kept.",
    EndReason.BANNED: "Your account was banned, and your instance was ended. Nothing of it was kept.",
    EndReason.GUARD: "Your notebook was ended by a rule of this platform: it used its processors fully for hours with "
    "nobody there, or looked like a program that is not allowed here. Nothing of it was kept. If that was a mistake, "
    "tell the operator.",
    EndReason.SURPLUS: "An instance that nobody used was ended.",
}

TICKET_END_TEXTS: dict[TicketState, str] = {
    TicketState.EXPIRED: "It was your turn, but you did not come in time, and what was kept for you went to the next "
    "in line.",
    TicketState.FAILED: "It was your turn, but the start did not succeed.",
}
"""Ends of tickets that users are told about."""

FAILURES = (
    EndReason.CRASHED,
    EndReason.OUT_OF_MEMORY,
    EndReason.OUT_OF_DISK,
    EndReason.EVICTED,
    EndReason.NO_IMAGE,
    EndReason.START_FAILED,
    EndReason.LOST,
)
USER_REQUESTED = (EndReason.STOPPED, EndReason.CANCELLED, EndReason.SUPERSEDED)
"""Ends that the user asked for, which need no explanation."""
