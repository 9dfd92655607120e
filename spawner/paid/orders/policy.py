"""The next action for one order: `next_action`, a pure function of the row and the time.

    state                  wanted?  action                                         resulting state
    INTENDED               yes      CREATE: check name and price, then send.       CREATING is committed just before the
                                    START (of a stopped instance): check the       request; then ACTIVE, REJECTED
                                    price, then send                               (STOPPED for a start), or UNKNOWN
                           no       GIVE_UP: no request was sent                   REJECTED (STOPPED)
    CREATING, UNKNOWN      yes      FIND the name; after `quiet` seconds, while    ACTIVE as soon as it is listed
                                    the consent is fresh, CREATE again
                           no       FIND, for a day                                ACTIVE, then deleted; or REJECTED
      with an id (a start) both     DESCRIBE: START is never sent twice            ACTIVE, STOPPED
    ACTIVE, RECOVERED      yes      SET_AUTO_STOP first; STOP where that fails,    STOPPING
                                    or where the cap or time is used up;
                                    DESCRIBE                                       as observed: STOPPED, DELETING, GONE
                           no       STOP                                           STOPPING
    STOPPING                        STOP until the cloud accepts it; DESCRIBE      STOPPED
    STOPPED                yes      DESCRIBE, rarely                               RECOVERED if the user started it
                           deleted  DELETE                                         DELETING
    DELETING                        DELETE until the cloud accepts it; DESCRIBE    GONE only if the cloud says NotFound

After a lost response the next action is DESCRIBE. If that fails, too, a due STOP or DELETE is sent nevertheless.
A FAILED instance gets no auto-stop, but its limits apply. `results` computes how a response changes the row.
"Wanted" means that no stop or delete was requested.
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
    """Whether instances may be created or started under a binding."""

    OPEN = "open"
    NOT_YET = "not_yet"  # discovery has not finished since this process started
    SHUT = "shut"
    TOO_OLD = "too_old"  # accepted before this process started: if the ledger was restored, the run may be over


class Action(StrEnum):
    """Actions of the steward for an order. Values are stored in `order_events.what`."""

    WAIT = "wait"
    GIVE_UP = "give_up"
    CREATE = "create"
    START = "start"
    FIND = "find"
    DESCRIBE = "describe"
    SET_AUTO_STOP = "arm"
    STOP = "stop"
    DELETE = "delete"


MUTATING = (Action.CREATE, Action.START, Action.SET_AUTO_STOP, Action.STOP, Action.DELETE)


@dataclass(frozen=True)
class NextAction:
    """`reason` is for `STOP` and `GIVE_UP`, `stop_in` (seconds) for `SET_AUTO_STOP`."""

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
    """The action for an order now. `consent` is that of its current run, None for a discovered instance."""
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
    """Whether a stop or delete was requested since the last step. Such a request does not wait for `next_try_at`."""
    requests = [at for at in (order.stop_wanted_at, order.delete_wanted_at) if at is not None]
    return any(order.begun_at is None or at >= order.begun_at for at in requests)


def clock_went_back(order: Order, now: datetime) -> bool:
    """Whether the clock was set back since the last step. The row's times are then too late to wait for."""
    return order.begun_at is not None and order.begun_at > now


def is_fresh(consent: Consent | None, now: datetime, rules: Rules) -> bool:
    """Whether the consent was spent within `create_within`. With an older one nothing is created or started."""
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
        return DESCRIBE  # the row is outdated: the instance may have stopped already
    if end is not None:
        return end
    if can_set_auto_stop and order.auto_stop_set_at is None and order.remote_state != RemoteState.FAILED:
        return NextAction(Action.SET_AUTO_STOP, stop_in=_auto_stop_seconds(order, consent, now, rules))
    return DESCRIBE


def _due_end(
    order: Order, consent: Consent | None, now: datetime, can_set_auto_stop: bool, rules: Rules
) -> NextAction | None:
    """The STOP or DELETE that is due now, with its reason; None where the instance may run on."""
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
    """Whether to send STOP or DELETE although DESCRIBE fails. Both are idempotent. Alternates with DESCRIBE."""
    return order.tries >= rules.auto_stop_tries and (order.tries - rules.auto_stop_tries) % 2 == 0


def _until_accepted(order: Order, action: NextAction, now: datetime, rules: Rules) -> NextAction:
    """Send until the cloud accepts, then observe. Send again if it has no effect or cannot be observed."""
    if order.asked_at is None and not order.unsure:
        return action
    was_observed = order.asked_at is not None and order.seen_at is not None and order.seen_at > order.asked_at
    if order.unsure or not was_observed:
        return action if _asks_without_observation(order, rules) else DESCRIBE
    assert order.asked_at is not None
    is_under_way = order.remote_state in (RemoteState.STOPPING, RemoteState.DELETING)
    is_old = not timedelta(0) <= now - order.asked_at < timedelta(seconds=rules.ask_again)
    return action if is_old and not is_under_way else DESCRIBE


def seconds_run(order: Order, now: datetime) -> float:
    """Billed seconds of the current run: the cloud's count or Freepool's, whichever is larger.

    Clouds count from RUNNING but may bill from creation; Freepool counts from creation.
    """
    since_creation = (now - order.run_began_at).total_seconds() if order.run_began_at is not None else 0.0
    return max(since_creation, (order.running or 0.0) - order.ran_before, 0.0)


def seconds_left(order: Order, consent: Consent | None, now: datetime, rules: Rules) -> float:
    """Seconds until Freepool sends STOP, in case the cloud's auto-stop fails.

    It stops before the cap, by one poll interval and the cloud's stop latency, which are billed, too.
    """
    if consent is None:
        since = order.recovered_at or order.created_at
        return rules.found_runs - (now - since).total_seconds()
    terms, run = terms_of(consent), seconds_run(order, now)
    by_cap = cap_seconds(terms.cap, terms.hourly) - rules.poll - rules.stop_latency
    return min(float(terms.run_seconds), by_cap) - run


def limit_of(consent: Consent | None) -> StopReason:
    """Whether the time limit or the cap ends the run."""
    if consent is None or consent.run_seconds >= consent.max_seconds:
        return StopReason.TIME
    return StopReason.CAP


def _auto_stop_seconds(order: Order, consent: Consent | None, now: datetime, rules: Rules) -> float:
    """Seconds from now for the cloud's auto-stop: the rest of the run, at least 1."""
    if consent is None:
        return max(1.0, seconds_left(order, None, now, rules))
    return max(1.0, consent.run_seconds - seconds_run(order, now))


def spent_by(order: Order, consent: Consent | None, now: datetime) -> str | None:
    """Estimated cost of the current run so far, as an exact decimal; None without a consent."""
    return None if consent is None else cost(terms_of(consent).hourly, seconds_run(order, now)).text


def intent_of(order: Order, action: NextAction, now: datetime, rules: Rules) -> OrderChanges:
    """Changes to commit before a mutating call is sent."""
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
