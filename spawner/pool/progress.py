"""English sentences for the steps of a start and for the ends of tickets, which the desk translates.

`spawner.ledger.pool.end_texts` has those for the ends of instances.
"""

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
USER_REQUESTED = (
    EndReason.STOPPED,
    EndReason.RESTARTED,
    EndReason.SWITCHED,
    EndReason.CANCELLED,
    EndReason.SUPERSEDED,
)
"""Ends that the user asked for, which need no explanation."""
