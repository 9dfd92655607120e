"""English sentences for the steps of a start and for the ends of instances and tickets. The desk translates them."""

from __future__ import annotations

from spawner.ledger import EndReason, StartStep, TicketState

STEP_TEXTS: dict[StartStep, tuple[int, str]] = {
    StartStep.REQUESTED: (5, "Request received"),
    StartStep.SLOT_WARM: (40, "Notebook assigned"),
    StartStep.OTHERS_FIRST: (15, "Many people are starting right now. Yours follows shortly"),
    StartStep.SLOT_CREATING: (20, "Creating a new notebook (takes a few seconds)"),
    StartStep.SLOT_READY: (60, "The new notebook is ready"),
    StartStep.CLAIMED: (70, "Setting up your session"),
    StartStep.RETRYING: (25, "That notebook did not respond. Trying another one"),
    StartStep.POOL_AWAY: (20, "The platform is not responding. Trying again"),
    StartStep.RUNNING: (100, "Your notebook is ready"),
    StartStep.FAILED: (100, "Could not start"),
}

LAST_STEPS = (StartStep.RUNNING, StartStep.FAILED)

END_TEXTS: dict[EndReason, str] = {
    EndReason.STOPPED: "Your notebook was stopped. Its files were deleted.",
    EndReason.CANCELLED: "Start cancelled.",
    EndReason.DEADLINE: "Your notebook reached its time limit. Its files were deleted.",
    EndReason.CRASHED: "Your notebook exited on its own. Its files were deleted.",
    EndReason.OUT_OF_MEMORY: "Your notebook ran out of memory and was stopped. Its files were deleted.",
    EndReason.OUT_OF_DISK: "Your notebook ran out of disk space and was stopped. Its files were deleted.",
    EndReason.EVICTED: (
        "We had to stop your notebook because its server ran out of resources. Its files were deleted. We are sorry."
    ),
    EndReason.NO_ROOM: "There was no capacity for another notebook.",
    EndReason.NO_IMAGE: "The image of your notebook could not be downloaded.",
    EndReason.START_FAILED: "The last start failed.",
    EndReason.LOST: (
        "Your notebook was lost because of a problem on our side. Its files could not be saved. We are sorry."
    ),
    EndReason.SUPERSEDED: "An earlier notebook was stopped to start a new one.",
    EndReason.SHUTDOWN: "The platform was shut down and your notebook stopped. Its files were deleted.",
    EndReason.ORPHANED: "An orphaned notebook was stopped.",
    EndReason.NOT_COLLECTED: (
        "It was your turn, but you did not open your notebook in time. It went to the next person in the queue."
    ),
    EndReason.MAINTENANCE: "Your notebook was stopped for maintenance. Its files were deleted.",
    EndReason.BANNED: "Your account was banned and your notebook was stopped. Its files were deleted.",
    EndReason.GUARD: (
        "Your notebook was stopped by a rule of this platform: it used its processors fully for hours with nobody "
        "there, or looked like a program that is not allowed here. Its files were deleted. If that was a mistake, tell "
        "the administrator."
    ),
    EndReason.IDLE: "Nobody used your notebook for a while, so it was stopped. Its files were deleted.",
    EndReason.ADMINISTRATOR: "An administrator stopped your notebook. Its files were deleted.",
    EndReason.SURPLUS: "An unused notebook was stopped.",
    EndReason.SHUT_DOWN: "You shut your notebook down in JupyterLab. Its files were deleted.",
}

TICKET_END_TEXTS: dict[TicketState, str] = {
    TicketState.EXPIRED: (
        "It was your turn, but you did not switch in time. The notebook reserved for you went to the "
        "next person in the queue."
    ),
    TicketState.FAILED: "It was your turn, but your notebook could not be started.",
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
