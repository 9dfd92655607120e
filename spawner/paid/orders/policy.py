"""What to do next about one order: `next_act`, from the row and the time alone.

    state                  wanted?  what is done                                  and what comes of it
    INTENDED               yes      CREATE: look at the price, look for the name,  CREATING is committed just before the
                                    ask the cloud. START, where it is there        cloud is asked; then ACTIVE, REJECTED
                                    already: the same, without looking             (STOPPED for a start), or UNKNOWN
                           no       GIVE_UP: nothing was ever asked                REJECTED (STOPPED)
    CREATING, UNKNOWN      yes      FIND the name; when it was quiet for a while   ACTIVE as soon as it is seen
                                    and the consent is fresh, CREATE it again
                           no       FIND, for a day                                ACTIVE, and ended; or REJECTED
      with an id (a start) both     DESCRIBE                                       ACTIVE, STOPPED; never asked twice
    ACTIVE, RECOVERED      yes      ARM the timer, before all else; STOP where     STOPPING
                                    that fails, or where the cap or time is used
                                    up; DESCRIBE                                   what is seen: STOPPED, DELETING, GONE
                           no       STOP                                           STOPPING
    STOPPING                        STOP until the cloud takes it; DESCRIBE        STOPPED
    STOPPED                yes      DESCRIBE, seldom                               RECOVERED where somebody started it
                           deleted  DELETE                                         DELETING
    DELETING                        DELETE until the cloud takes it; DESCRIBE      GONE, by the cloud's own word only

After an answer that was lost it is looked first; an end that is due is asked for all the same where looks fail, too.
What has FAILED is not armed, but has its limits. What an answer makes of the row is in `outcome`. Both are pure.
"Wanted" means that nobody wishes it stopped or deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.compat import StrEnum
from spawner.ledger.paid.rows import Consent, Order, OrderChanges, OrderState, StopReason
from spawner.paid.providers.base import RemoteState
from spawner.paid.quotes import cap_seconds, cost, terms_of


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
    arm_grace: float = 60  # within this all tries to arm it are made
    arm_tries: int = 3
    tell_after: int = 3  # failures in a row before the person is told
    found_runs: float = 1800  # how long something runs that was found, and not ordered
    first_pause: float = 2  # after a failure; doubled each time
    longest_pause: float = 300
    longest_stop_pause: float = 60  # as long as something bills that should not
    sweep: float = 60  # between looks through an account in which something may be
    sweep_seldom: float = 3600
    watch_for: timedelta = timedelta(hours=24)  # how long a name is looked for that may still appear
    wiped_warning: timedelta = timedelta(days=12)  # the cloud wipes what was stopped for 15 days
    lease: timedelta = timedelta(seconds=30)

    def pause(self, tries: int, jitter: float, *, longest: float | None = None) -> float:
        """Seconds before the next try after so many failures: twice as long each time, at random."""
        most = self.longest_pause if longest is None else longest
        return float(min(most, self.first_pause * 2 ** min(tries, 16))) * (0.5 + jitter / 2)


class CreationPolicy(StrEnum):
    """Whether anything new may be made under a binding."""

    OPEN = "open"
    NOT_YET = "not_yet"  # what is there already has not been looked at since we started
    SHUT = "shut"
    TOO_OLD = "too_old"  # its person agreed before we began: in a ledger that was restored, it may have run since


class Action(StrEnum):
    """What the steward does for an order, in one step."""

    WAIT = "wait"
    GIVE_UP = "give_up"
    CREATE = "create"
    START = "start"
    FIND = "find"
    DESCRIBE = "describe"
    ARM = "arm"
    STOP = "stop"
    DELETE = "delete"


MUTATING = (Action.CREATE, Action.START, Action.ARM, Action.STOP, Action.DELETE)


@dataclass(frozen=True)
class NextAction:
    """One step. `reason` says why something is stopped or given up, `stop_in` (seconds) is for `ARM`."""

    what: Action
    reason: StopReason | None = None
    stop_in: float | None = None


WAIT = NextAction(Action.WAIT)
DESCRIBE = NextAction(Action.DESCRIBE)


def next_action(
    order: Order, consent: Consent | None, now: datetime, *, gate: CreationPolicy, can_arm: bool, rules: Rules
) -> NextAction:
    """What to do about an order now. `consent` is that of its present run; None where it was found."""
    if not has_gone_back(order, now):
        if order.busy_until is not None and now < order.busy_until:
            return WAIT
        if order.next_try_at is not None and now < order.next_try_at and not is_hurried(order):
            return WAIT
    match order.state:
        case OrderState.INTENDED:
            return _about_intent(order, consent, now, gate, rules)
        case OrderState.CREATING | OrderState.UNKNOWN:
            return _about_unsettled(order, consent, now, gate, rules)
        case OrderState.ACTIVE | OrderState.RECOVERED:
            return _about_running(order, consent, now, can_arm, rules)
        case OrderState.STOPPING:
            return _until_taken(order, NextAction(Action.STOP, order.reason), now, rules)
        case OrderState.STOPPED:
            return DESCRIBE if order.delete_wanted_at is None or order.unsure else NextAction(Action.DELETE)
        case OrderState.DELETING:
            return _until_taken(order, NextAction(Action.DELETE), now, rules)
        case _:
            return WAIT


def is_hurried(order: Order) -> bool:
    """Whether somebody wants an end since the last step: that does not wait for its time."""
    wishes = [at for at in (order.stop_wanted_at, order.delete_wanted_at) if at is not None]
    return any(order.begun_at is None or at >= order.begun_at for at in wishes)


def has_gone_back(order: Order, now: datetime) -> bool:
    """Whether the clock was set back since the last step: then every time in the row lies too far ahead."""
    return order.begun_at is not None and order.begun_at > now


def is_fresh(consent: Consent | None, now: datetime, rules: Rules) -> bool:
    """Whether its person still waits for what they agreed to. What is older is never made or started."""
    spent_at = consent.spent_at if consent is not None else None
    return spent_at is not None and now - spent_at < timedelta(seconds=rules.create_within)


def _about_intent(
    order: Order, consent: Consent | None, now: datetime, gate: CreationPolicy, rules: Rules
) -> NextAction:
    if order.is_unwanted:
        return NextAction(Action.GIVE_UP, StopReason.CANCELLED)
    if gate is CreationPolicy.TOO_OLD or not is_fresh(consent, now, rules):
        return NextAction(Action.GIVE_UP, StopReason.TOO_LATE)
    if gate is CreationPolicy.SHUT:
        return NextAction(Action.GIVE_UP, StopReason.BLOCKED)
    if gate is CreationPolicy.NOT_YET:
        return WAIT
    return NextAction(Action.CREATE if order.remote_id is None else Action.START)


def _about_unsettled(
    order: Order, consent: Consent | None, now: datetime, gate: CreationPolicy, rules: Rules
) -> NextAction:
    if order.remote_id is not None:
        return DESCRIBE
    has_been_quiet = order.posted_at is not None and now - order.posted_at >= timedelta(seconds=rules.quiet)
    is_wanted = not order.is_unwanted and is_fresh(consent, now, rules) and gate is CreationPolicy.OPEN
    return NextAction(Action.CREATE if is_wanted and has_been_quiet else Action.FIND)


def _about_running(order: Order, consent: Consent | None, now: datetime, can_arm: bool, rules: Rules) -> NextAction:
    end = _end_of(order, consent, now, can_arm, rules)
    if order.unsure:
        return end if end is not None and _asks_unseen(order, rules) else DESCRIBE
    is_old = order.seen_at is None or now - order.seen_at > timedelta(seconds=2 * rules.poll)
    if not order.is_unwanted and is_old and order.auto_stop_set_at is not None and order.tries == 0:
        return DESCRIBE  # nobody has looked for long: what is meant to be stopped may have stopped
    if end is not None:
        return end
    if can_arm and order.auto_stop_set_at is None and order.remote_state != RemoteState.FAILED:
        return NextAction(Action.ARM, stop_in=_timer(order, consent, now, rules))
    return DESCRIBE


def _end_of(order: Order, consent: Consent | None, now: datetime, can_arm: bool, rules: Rules) -> NextAction | None:
    """How it is to be ended now, and why; None where it may run on."""
    has_failed = order.remote_state == RemoteState.FAILED
    if order.is_unwanted:
        ends_it = has_failed and order.delete_wanted_at is not None
        return NextAction(Action.DELETE) if ends_it else NextAction(Action.STOP, order.reason or StopReason.ASKED)
    if seconds_left(order, consent, now, rules) <= 0:
        return NextAction(Action.STOP, limit_of(consent))
    if can_arm and order.auto_stop_set_at is None and order.tries >= rules.arm_tries and not has_failed:
        return NextAction(Action.STOP, StopReason.UNPROTECTED)
    return None


def _asks_unseen(order: Order, rules: Rules) -> bool:
    """Whether an end is asked for though nobody can look: that does no harm twice. In turns with looks."""
    return order.tries >= rules.arm_tries and (order.tries - rules.arm_tries) % 2 == 0


def _until_taken(order: Order, act: NextAction, now: datetime, rules: Rules) -> NextAction:
    """Ask until the cloud takes it, then look; ask again where that has no effect, or cannot be seen."""
    if order.asked_at is None and not order.unsure:
        return act
    has_looked = order.asked_at is not None and order.seen_at is not None and order.seen_at > order.asked_at
    if order.unsure or not has_looked:
        return act if _asks_unseen(order, rules) else DESCRIBE
    assert order.asked_at is not None
    is_under_way = order.remote_state in (RemoteState.STOPPING, RemoteState.DELETING)
    is_old = not timedelta(0) <= now - order.asked_at < timedelta(seconds=rules.ask_again)
    return act if is_old and not is_under_way else DESCRIBE


def seconds_run(order: Order, now: datetime) -> float:
    """How long the present run has cost something: by the cloud's count or by ours, whichever is more.

    Clouds count from when it runs, and may bill from before that: so ours begins when it was made.
    """
    ours = (now - order.run_began_at).total_seconds() if order.run_began_at is not None else 0.0
    return max(ours, (order.running or 0.0) - order.ran_before, 0.0)


def seconds_left(order: Order, consent: Consent | None, now: datetime, rules: Rules) -> float:
    """Until we stop it ourselves: the second line, should the timer in the cloud fail.

    Before the cap, by the time until we look again and the cloud has stopped: that may cost, too.
    """
    if consent is None:
        since = order.recovered_at or order.created_at
        return rules.found_runs - (now - since).total_seconds()
    terms, run = terms_of(consent), seconds_run(order, now)
    by_cap = cap_seconds(terms.cap, terms.hourly) - rules.poll - rules.stop_latency
    return min(float(terms.run_seconds), by_cap) - run


def limit_of(consent: Consent | None) -> StopReason:
    """Which of the two limits of a run comes first."""
    if consent is None or consent.run_seconds >= consent.max_seconds:
        return StopReason.TIME
    return StopReason.CAP


def _timer(order: Order, consent: Consent | None, now: datetime, rules: Rules) -> float:
    """For how long the cloud's own timer is set: what is left of the run, to the second of the cap."""
    if consent is None:
        return max(1.0, seconds_left(order, None, now, rules))
    return max(1.0, consent.run_seconds - seconds_run(order, now))


def spent_by(order: Order, consent: Consent | None, now: datetime) -> str | None:
    """An estimate of what the present run has cost so far, as exact text."""
    return None if consent is None else cost(terms_of(consent).hourly, seconds_run(order, now)).text


def intent_of(order: Order, act: NextAction, now: datetime, rules: Rules) -> OrderChanges:
    """What is written, and committed, before the cloud is asked for anything that changes something there."""
    changes: OrderChanges = {"begun_at": now, "busy_until": now + timedelta(seconds=rules.busy)}
    match act.what:
        case Action.CREATE | Action.START:
            return changes | {"state": OrderState.CREATING, "posted_at": now}
        case Action.STOP:
            return changes | {"state": OrderState.STOPPING, "asked_at": None, "reason": order.reason or act.reason}
        case Action.DELETE:
            return changes | {"state": OrderState.DELETING, "asked_at": None}
        case _:
            return changes
