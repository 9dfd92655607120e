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
from enum import StrEnum

from spawner.ledger.paid.rows import Consent, Order, OrderChanges, OrderState, StopReason
from spawner.paid.providers.base import RemoteState
from spawner.paid.quotes import cap_seconds, cost, terms_of
from spawner.paid.rules import Rules


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
    SET_AUTO_STOP = "arm"  # the value is stored in order_events.what
    STOP = "stop"
    DELETE = "delete"


MUTATING = (Action.CREATE, Action.START, Action.SET_AUTO_STOP, Action.STOP, Action.DELETE)


@dataclass(frozen=True)
class NextAction:
    """One step. `reason` says why something is stopped or given up, `stop_in` (seconds) is for `ARM`."""

    kind: Action
    reason: StopReason | None = None
    stop_in: float | None = None


WAIT = NextAction(Action.WAIT)
DESCRIBE = NextAction(Action.DESCRIBE)


def next_action(
    order: Order,
    consent: Consent | None,
    now: datetime,
    *,
    creation_policy: CreationPolicy,
    can_set_auto_stop: bool,
    rules: Rules,
) -> NextAction:
    """What to do about an order now. `consent` is that of its present run; None where it was found."""
    if not clock_went_back(order, now):
        if order.busy_until is not None and now < order.busy_until:
            return WAIT
        if order.next_try_at is not None and now < order.next_try_at and not has_new_end_request(order):
            return WAIT
    match order.state:
        case OrderState.INTENDED:
            return _for_intended(order, consent, now, creation_policy, rules)
        case OrderState.CREATING | OrderState.UNKNOWN:
            return _for_unsettled(order, consent, now, creation_policy, rules)
        case OrderState.ACTIVE | OrderState.RECOVERED:
            return _for_running(order, consent, now, can_set_auto_stop, rules)
        case OrderState.STOPPING:
            return _until_accepted(order, NextAction(Action.STOP, order.reason), now, rules)
        case OrderState.STOPPED:
            return DESCRIBE if order.delete_wanted_at is None or order.unsure else NextAction(Action.DELETE)
        case OrderState.DELETING:
            return _until_accepted(order, NextAction(Action.DELETE), now, rules)
        case _:
            return WAIT


def has_new_end_request(order: Order) -> bool:
    """Whether somebody wants an end since the last step: that does not wait for its time."""
    wishes = [at for at in (order.stop_wanted_at, order.delete_wanted_at) if at is not None]
    return any(order.begun_at is None or at >= order.begun_at for at in wishes)


def clock_went_back(order: Order, now: datetime) -> bool:
    """Whether the clock was set back since the last step: then every time in the row lies too far ahead."""
    return order.begun_at is not None and order.begun_at > now


def is_fresh(consent: Consent | None, now: datetime, rules: Rules) -> bool:
    """Whether its person still waits for what they agreed to. What is older is never made or started."""
    spent_at = consent.spent_at if consent is not None else None
    return spent_at is not None and now - spent_at < timedelta(seconds=rules.create_within)


def _for_intended(
    order: Order, consent: Consent | None, now: datetime, creation_policy: CreationPolicy, rules: Rules
) -> NextAction:
    if order.is_unwanted:
        return NextAction(Action.GIVE_UP, StopReason.CANCELLED)
    if creation_policy is CreationPolicy.TOO_OLD or not is_fresh(consent, now, rules):
        return NextAction(Action.GIVE_UP, StopReason.TOO_LATE)
    if creation_policy is CreationPolicy.SHUT:
        return NextAction(Action.GIVE_UP, StopReason.BLOCKED)
    if creation_policy is CreationPolicy.NOT_YET:
        return WAIT
    return NextAction(Action.CREATE if order.remote_id is None else Action.START)


def _for_unsettled(
    order: Order, consent: Consent | None, now: datetime, creation_policy: CreationPolicy, rules: Rules
) -> NextAction:
    if order.remote_id is not None:
        return DESCRIBE
    has_been_quiet = order.posted_at is not None and now - order.posted_at >= timedelta(seconds=rules.quiet)
    is_wanted = not order.is_unwanted and is_fresh(consent, now, rules) and creation_policy is CreationPolicy.OPEN
    return NextAction(Action.CREATE if is_wanted and has_been_quiet else Action.FIND)


def _for_running(
    order: Order, consent: Consent | None, now: datetime, can_set_auto_stop: bool, rules: Rules
) -> NextAction:
    end = _due_end(order, consent, now, can_set_auto_stop, rules)
    if order.unsure:
        return end if end is not None and _asks_without_observation(order, rules) else DESCRIBE
    is_old = order.seen_at is None or now - order.seen_at > timedelta(seconds=2 * rules.poll)
    if not order.is_unwanted and is_old and order.auto_stop_set_at is not None and order.tries == 0:
        return DESCRIBE  # nobody has looked for long: what is meant to be stopped may have stopped
    if end is not None:
        return end
    if can_set_auto_stop and order.auto_stop_set_at is None and order.remote_state != RemoteState.FAILED:
        return NextAction(Action.SET_AUTO_STOP, stop_in=_auto_stop_seconds(order, consent, now, rules))
    return DESCRIBE


def _due_end(
    order: Order, consent: Consent | None, now: datetime, can_set_auto_stop: bool, rules: Rules
) -> NextAction | None:
    """How it is to be ended now, and why; None where it may run on."""
    has_failed = order.remote_state == RemoteState.FAILED
    if order.is_unwanted:
        ends_it = has_failed and order.delete_wanted_at is not None
        return NextAction(Action.DELETE) if ends_it else NextAction(Action.STOP, order.reason or StopReason.ASKED)
    if seconds_left(order, consent, now, rules) <= 0:
        return NextAction(Action.STOP, limit_of(consent))
    if can_set_auto_stop and order.auto_stop_set_at is None and order.tries >= rules.auto_stop_tries and not has_failed:
        return NextAction(Action.STOP, StopReason.UNPROTECTED)
    return None


def _asks_without_observation(order: Order, rules: Rules) -> bool:
    """Whether an end is asked for though nobody can look: that does no harm twice. In turns with looks."""
    return order.tries >= rules.auto_stop_tries and (order.tries - rules.auto_stop_tries) % 2 == 0


def _until_accepted(order: Order, action: NextAction, now: datetime, rules: Rules) -> NextAction:
    """Ask until the cloud takes it, then look; ask again where that has no effect, or cannot be seen."""
    if order.asked_at is None and not order.unsure:
        return action
    has_looked = order.asked_at is not None and order.seen_at is not None and order.seen_at > order.asked_at
    if order.unsure or not has_looked:
        return action if _asks_without_observation(order, rules) else DESCRIBE
    assert order.asked_at is not None
    is_under_way = order.remote_state in (RemoteState.STOPPING, RemoteState.DELETING)
    is_old = not timedelta(0) <= now - order.asked_at < timedelta(seconds=rules.ask_again)
    return action if is_old and not is_under_way else DESCRIBE


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


def _auto_stop_seconds(order: Order, consent: Consent | None, now: datetime, rules: Rules) -> float:
    """For how long the cloud's own timer is set: what is left of the run, to the second of the cap."""
    if consent is None:
        return max(1.0, seconds_left(order, None, now, rules))
    return max(1.0, consent.run_seconds - seconds_run(order, now))


def spent_by(order: Order, consent: Consent | None, now: datetime) -> str | None:
    """An estimate of what the present run has cost so far, as exact text."""
    return None if consent is None else cost(terms_of(consent).hourly, seconds_run(order, now)).text


def intent_of(order: Order, action: NextAction, now: datetime, rules: Rules) -> OrderChanges:
    """What is written, and committed, before the cloud is asked for anything that changes something there."""
    changes: OrderChanges = {"begun_at": now, "busy_until": now + timedelta(seconds=rules.busy)}
    match action.kind:
        case Action.CREATE | Action.START:
            return changes | {"state": OrderState.CREATING, "posted_at": now}
        case Action.STOP:
            return changes | {"state": OrderState.STOPPING, "asked_at": None, "reason": order.reason or action.reason}
        case Action.DELETE:
            return changes | {"state": OrderState.DELETING, "asked_at": None}
        case _:
            return changes
