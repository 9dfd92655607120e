"""Times and limits by which the steward works on paid orders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Rules:
    """How patient the steward is. Seconds, but for the last three."""

    poll: float = 30  # between looks at what runs
    poll_soon: float = 5  # between looks at what is on its way
    poll_seldom: float = 900  # between looks at what is stopped
    busy: float = 60  # no call to a cloud takes longer: who has begun one and is silent since is dead
    call: float = 50  # then nobody waits for an answer any more, which makes `busy` true
    quiet: float = 30  # after a request whose outcome is unknown, before the same is asked again
    create_within: float = 600  # of the consent being spent; later nobody waits for it any more
    seen_within: float = 60  # what was just made may not be shown by the cloud yet
    ask_again: float = 60  # a stop that was taken and has no effect
    stop_latency: float = 60  # from asking for a stop to its effect on the bill
    auto_stop_grace: float = 60  # within this all tries to arm it are made
    auto_stop_tries: int = 3
    tell_after: int = 3  # failures in a row before the person is told
    found_runs: float = 1800  # how long something runs that was found, and not ordered
    first_pause: float = 2  # after a failure; doubled each time
    longest_pause: float = 300
    longest_stop_pause: float = 60  # as long as something bills that should not
    discovery_interval: float = 60  # between looks through an account in which something may be
    idle_discovery_interval: float = 3600
    watch_for: timedelta = timedelta(hours=24)  # how long a name is looked for that may still appear
    wiped_warning: timedelta = timedelta(days=12)  # the cloud wipes what was stopped for 15 days
    lease: timedelta = timedelta(seconds=30)

    def pause(self, tries: int, jitter: float, *, longest: float | None = None) -> float:
        """Seconds before the next try after so many failures: twice as long each time, at random."""
        most = self.longest_pause if longest is None else longest
        return float(min(most, self.first_pause * 2 ** min(tries, 16))) * (0.5 + jitter / 2)
