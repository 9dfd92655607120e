"""Intervals and limits of the steward's work on paid orders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Rules:
    """In seconds where not a `timedelta`."""

    poll: float = 30  # between polls of a running instance
    poll_soon: float = 5  # between polls of an instance that changes its state
    poll_seldom: float = 900  # between polls of a stopped instance
    busy: float = 60  # lock of an order during a call, longer than any call
    call: float = 50  # timeout of a call; must be less than `busy`
    quiet: float = 30  # wait before a request with an unknown outcome is sent again
    create_within: float = 600  # time from spending the consent to the last create request
    seen_within: float = 60  # how long the cloud may take to show a change
    ask_again: float = 60  # wait before an accepted stop without effect is sent again
    stop_latency: float = 60  # from the stop request to the end of billing
    auto_stop_grace: float = 60  # all attempts to set the auto-stop are made within this time
    auto_stop_tries: int = 3
    tell_after: int = 3  # failures in a row before the user gets a notice
    found_runs: float = 1800  # how long a discovered instance may run
    first_pause: float = 2  # after the first failure; doubled by each further one
    longest_pause: float = 300
    longest_stop_pause: float = 60  # longest pause while an instance is billed that should be stopped
    discovery_interval: float = 60  # between discoveries of an account that may have instances
    idle_discovery_interval: float = 3600
    watch_for: timedelta = timedelta(hours=24)  # how long Freepool looks for the name of a lost request
    wiped_warning: timedelta = timedelta(days=12)  # the cloud wipes the disk after 15 days
    lease: timedelta = timedelta(seconds=30)

    def pause(self, tries: int, jitter: float, *, longest: float | None = None) -> float:
        """Seconds to wait after `tries` failures: exponential backoff with jitter (0 to 1)."""
        most = self.longest_pause if longest is None else longest
        return float(min(most, self.first_pause * 2 ** min(tries, 16))) * (0.5 + jitter / 2)
