"""How the result of a cloud call changes an order: `apply_result`, a pure function.

`policy` describes states and actions. An order is closed only when it is certain that it has no instance: GONE after
NotFound, REJECTED after a definite refusal or after the name was not listed for a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from spawner.ledger.paid.rows import ENDS, RUNS, Block, Consent, NoticeKind, Order, OrderChanges, OrderState, StopReason
from spawner.paid.orders.observation import apply_observation
from spawner.paid.orders.policy import Action, NextAction, is_fresh, seconds_left
from spawner.paid.orders.updates import FREEPOOL, OrderUpdate, UserNotice, notice
from spawner.paid.providers.base import (
    AlreadyExists,
    AuthLost,
    ClockSkew,
    Conflict,
    NotFound,
    ProviderError,
    Rejected,
    RemoteInstance,
    RemoteState,
    Throttled,
    Unavailable,
)
from spawner.paid.rules import Rules

Sentence = tuple[str, Mapping[str, str]]


@dataclass(frozen=True)
class InstanceSeen:
    """The cloud returned the instance."""

    remote: RemoteInstance


@dataclass(frozen=True)
class NotListed:
    """A complete listing does not contain the order's name."""


@dataclass(frozen=True)
class RequestTaken:
    """The cloud accepted the request. `remote_id`: of a created instance."""

    remote_id: str | None = None


@dataclass(frozen=True)
class TermsChanged:
    """The offer no longer equals the consent. No mutating call was sent."""

    sentence: Sentence


@dataclass(frozen=True)
class CallFailed:
    """The call failed, or its outcome is unknown. `was_sent`: it was a mutating call."""

    error: ProviderError
    was_sent: bool


CallResult = InstanceSeen | NotListed | RequestTaken | TermsChanged | CallFailed


def apply_result(
    order: Order,
    consent: Consent | None,
    action: NextAction,
    result: CallResult | None,
    now: datetime,
    *,
    was: Order,
    began: datetime,
    rules: Rules,
    jitter: float,
) -> OrderUpdate:
    """The update to write after an action. `was` is the row before it, `order` the row after its intent.

    `began`: when the row was read, so that a stop requested meanwhile counts as newer. `jitter` (0 to 1) spreads
    retries.
    """
    update = _update_for(order, consent, action, result, now, was, rules)
    changes: OrderChanges = {"busy_until": None, "begun_at": began}
    after = replace(order, **update.changes)
    if isinstance(result, CallFailed):
        changes |= _retry_changes(after, consent, result.error, update, now, rules, jitter)
    elif order.blocked is Block.AUTH_LOST and not _is_still_refused(after, action):
        changes |= {"blocked": None, "blocked_at": None}
    if isinstance(result, CallFailed) and isinstance(result.error, AuthLost):
        update = replace(update, block=Block.AUTH_LOST)
    if after.state in ENDS:
        since = (was.ending_since if was.state is after.state else None) or now
        changes["ending_since"] = since
        if now - since >= timedelta(seconds=rules.tell_after * rules.ask_again):
            update = replace(update, notices=(*update.notices, _end_failed_notice(after)))
    elif was.ending_since is not None:
        changes["ending_since"] = None
    return replace(update, changes=changes | update.changes)


def _is_still_refused(order: Order, action: NextAction) -> bool:
    """Whether a pending STOP or DELETE may still be denied: a successful DESCRIBE does not show that it is allowed."""
    return action.kind is Action.DESCRIBE and order.state in ENDS and order.asked_at is None


def _end_failed_notice(order: Order) -> UserNotice:
    kind = NoticeKind.STOP_FAILED if order.state is OrderState.STOPPING else NoticeKind.DELETE_FAILED
    return notice(kind, order, raw=order.raw_state or "")


def _retry_changes(
    order: Order,
    consent: Consent | None,
    error: ProviderError,
    update: OrderUpdate,
    now: datetime,
    rules: Rules,
    jitter: float,
) -> OrderChanges:
    """The time of the retry: exponential backoff, the cloud's Retry-After, but not beyond a limit of the run."""
    changes: OrderChanges = {}
    if isinstance(error, AuthLost):
        changes |= {"blocked": Block.AUTH_LOST, "blocked_at": order.blocked_at or now}
    elif order.blocked is Block.AUTH_LOST and isinstance(error, Rejected):
        changes |= {"blocked": None, "blocked_at": None}
    if "next_try_at" in update.changes:
        return changes
    longest = rules.longest_stop_pause if order.state is OrderState.STOPPING else rules.longest_pause
    pause = rules.pause(order.tries, jitter, longest=longest)
    if isinstance(error, Throttled) and error.after is not None:
        # A long Retry-After must not delay the stop of a billed instance beyond `longest`.
        pause = min(max(pause, error.after * (1 + jitter / 10)), longest)
    if order.state in RUNS:
        left = seconds_left(order, consent, now, rules)
        pause = min(pause, left) if left > 0 else pause
    if order.state in RUNS and order.auto_stop_set_at is None:
        pause = min(pause, rules.auto_stop_grace / rules.auto_stop_tries)
    return changes | {"next_try_at": now + timedelta(seconds=max(pause, 0.5))}


def _update_for(
    order: Order,
    consent: Consent | None,
    action: NextAction,
    result: CallResult | None,
    now: datetime,
    was: Order,
    rules: Rules,
) -> OrderUpdate:
    match action.kind:
        case Action.GIVE_UP:
            return _give_up(order, action.reason or StopReason.TOO_LATE, now)
        case Action.CREATE | Action.START:
            return _after_run_request(order, consent, result, now, was, rules)
        case Action.FIND:
            return _after_find(order, consent, result, now, rules)
        case Action.DESCRIBE:
            return _after_describe(order, consent, result, now, rules)
        case Action.SET_AUTO_STOP:
            return _after_set_auto_stop(order, action, result, now, rules)
        case Action.STOP | Action.DELETE:
            return _after_end_request(order, action, result, now, rules)
        case _:
            return OrderUpdate({})


def _give_up(order: Order, reason: StopReason, now: datetime, why: Sentence | None = None) -> OrderUpdate:
    """Close the order: no instance was created or started."""
    kind = NoticeKind.PRICE_CHANGED if reason is StopReason.PRICE else NoticeKind.NOT_MADE
    notices = () if reason is StopReason.CANCELLED else (notice(kind, order, reason=reason, **_words(why)),)
    state = OrderState.REJECTED if order.remote_id is None else OrderState.STOPPED
    changes: OrderChanges = {
        "state": state,
        "reason": reason,
        "stop_wanted_at": None,
        "stop_wanted_by": None,
        "next_try_at": now,
        "tries": 0,
        "unsure": False,
    }
    if state is OrderState.REJECTED:
        changes["ended_at"] = now
    return OrderUpdate(changes, notices, what="given_up", params={"reason": str(reason), **_words(why)})


def _words(why: Sentence | None) -> dict[str, str]:
    """A sentence as parameters of a notice or an event."""
    return {} if why is None else {"why": why[0], **{f"why_{name}": str(value) for name, value in why[1].items()}}


def _after_run_request(
    order: Order, consent: Consent | None, result: CallResult | None, now: datetime, was: Order, rules: Rules
) -> OrderUpdate:
    """After CREATE or START, or after the checks before them ended it."""
    was_sent_before = was.posted_at is not None
    match result:
        case InstanceSeen(remote):
            return _adopted(order, consent, remote, now, rules)
        case RequestTaken(remote_id):
            changes: OrderChanges = {
                "state": OrderState.ACTIVE,
                "active_at": now,
                "run_began_at": now,
                "next_try_at": now,
                "tries": 0,
                "unsure": False,
            }
            if order.remote_id is None:
                changes["remote_id"] = remote_id
            return OrderUpdate(changes, what="made" if order.remote_id is None else "started")
        case TermsChanged(sentence):
            if not was_sent_before:
                return _give_up(order, StopReason.PRICE, now, sentence)
            return _no_longer_requested(order, StopReason.PRICE, now, sentence)
        case CallFailed(AlreadyExists() | Conflict() | NotFound(), True):
            return OrderUpdate({"state": OrderState.UNKNOWN, "unsure": True, "next_try_at": now})
        case CallFailed(Rejected() | AuthLost() as error, True):
            reason = StopReason.BLOCKED if isinstance(error, AuthLost) else StopReason.REFUSED
            why = error.template, {name: str(value) for name, value in error.params.items()}
            update = (
                _no_longer_requested(order, reason, now, why) if was_sent_before else _give_up(order, reason, now, why)
            )
            return replace(update, what="refused", request_id=error.request_id)
        case CallFailed(Throttled() | ClockSkew() | Unavailable(), True) if not was_sent_before:
            return OrderUpdate({"state": OrderState.INTENDED, "posted_at": None, "tries": order.tries + 1})
        case CallFailed(error, True):
            return OrderUpdate(
                {"state": OrderState.UNKNOWN, "unsure": True, "tries": order.tries + 1},
                what="unknown",
                request_id=error.request_id,
            )
        case _:  # a check before it failed: no request was sent
            return OrderUpdate({"tries": order.tries + 1})


def _no_longer_requested(order: Order, reason: StopReason, now: datetime, why: Sentence | None = None) -> OrderUpdate:
    """Send no further request. An earlier one may still take effect, so FIND continues."""
    kind = NoticeKind.PRICE_CHANGED if reason is StopReason.PRICE else NoticeKind.NOT_MADE
    changes: OrderChanges = {
        "state": OrderState.UNKNOWN,
        "reason": order.reason or reason,
        "stop_wanted_at": order.stop_wanted_at or now,
        "stop_wanted_by": order.stop_wanted_by or FREEPOOL,
        "next_try_at": now,
    }
    return OrderUpdate(
        changes, (notice(kind, order, reason=reason, **_words(why)),), what="given_up", params=_words(why)
    )


def _after_find(
    order: Order, consent: Consent | None, result: CallResult | None, now: datetime, rules: Rules
) -> OrderUpdate:
    match result:
        case InstanceSeen(remote):
            return _adopted(order, consent, remote, now, rules)
        case NotListed():
            posted_at = order.posted_at or order.created_at
            if order.is_unwanted and now - posted_at >= rules.watch_for:
                return _give_up(order, order.reason or StopReason.CANCELLED, now)
            if not order.is_unwanted and not is_fresh(consent, now, rules):
                return _no_longer_requested(order, StopReason.TOO_LATE, now)
            changes: OrderChanges = {"state": OrderState.UNKNOWN, "unsure": False, "tries": 0}
            # Poll soon while the user waits for it.
            pause = rules.poll if order.is_unwanted else rules.poll_soon
            return OrderUpdate(changes | {"next_try_at": now + timedelta(seconds=pause)})
        case _:
            return OrderUpdate({"tries": order.tries + 1})


def _adopted(order: Order, consent: Consent | None, remote: RemoteInstance, now: datetime, rules: Rules) -> OrderUpdate:
    """Take the listed instance as the order's. If the order is no longer wanted, it is stopped and deleted."""
    changes: OrderChanges = {
        "state": OrderState.ACTIVE,
        "remote_id": remote.id,
        "active_at": now,
        "run_began_at": order.posted_at or now,
        "next_try_at": now,
        "tries": 0,
    }
    if order.is_unwanted:  # it was never used, so no data is lost
        changes["delete_wanted_at"] = order.delete_wanted_at or now
        changes["delete_wanted_by"] = order.delete_wanted_by or FREEPOOL
    update = apply_observation(replace(order, **changes), consent, remote, now, rules)
    return replace(update, changes=changes | update.changes | {"next_try_at": now}, what="adopted")


def _after_describe(
    order: Order, consent: Consent | None, result: CallResult | None, now: datetime, rules: Rules
) -> OrderUpdate:
    match result:
        case InstanceSeen(remote):
            return apply_observation(order, consent, remote, now, rules)
        case CallFailed(NotFound() as error):
            made_at = order.active_at
            if order.seen_at is None and made_at and now - made_at < timedelta(seconds=rules.seen_within):
                return OrderUpdate({"next_try_at": now + timedelta(seconds=rules.poll_soon)})
            was_requested = order.delete_wanted_at is not None
            kind = NoticeKind.DELETED if was_requested else NoticeKind.STOPPED
            reason = order.reason or (StopReason.ASKED if was_requested else StopReason.OUTSIDE)
            return OrderUpdate(
                {"state": OrderState.GONE, "ended_at": now, "reason": reason, "unsure": False, "next_try_at": None},
                (notice(kind, order, reason=reason),),
                what="gone",
                request_id=error.request_id,
            )
        case _:
            return OrderUpdate({"tries": order.tries + 1})


def _after_set_auto_stop(
    order: Order, action: NextAction, result: CallResult | None, now: datetime, rules: Rules
) -> OrderUpdate:
    match result:
        case RequestTaken():
            stops_at = now + timedelta(seconds=action.stop_in or 0)
            changes: OrderChanges = {"auto_stop_set_at": now, "stops_at": stops_at, "tries": 0, "next_try_at": now}
            return OrderUpdate(changes, what="armed", params={"stop_in": action.stop_in})
        case CallFailed(Conflict()) if order.remote_state in (None, RemoteState.PROVISIONING, RemoteState.STOPPED):
            # The cloud refuses a timer until the instance runs: observe it and retry.
            return OrderUpdate({"unsure": True, "next_try_at": now + timedelta(seconds=rules.poll_soon)})
        case CallFailed(NotFound() | Conflict()):
            return OrderUpdate({"unsure": True, "tries": order.tries + 1, "next_try_at": now})
        case CallFailed(error):
            changes = {"tries": order.tries + 1, "unsure": order.remote_state is None}
            return OrderUpdate(changes, what="arming_failed", request_id=error.request_id)
        case _:
            return OrderUpdate({})


def _after_end_request(
    order: Order, action: NextAction, result: CallResult | None, now: datetime, rules: Rules
) -> OrderUpdate:
    verb = "stop" if action.kind is Action.STOP else "delete"
    changes: OrderChanges
    if not isinstance(result, CallFailed):
        changes = {"asked_at": now, "tries": 0, "next_try_at": now + timedelta(seconds=rules.poll_soon)}
        return OrderUpdate(changes, what=f"{verb}_taken")
    changes = {"unsure": True, "tries": order.tries + 1}
    if isinstance(result.error, Conflict | NotFound) and order.tries == 0:
        changes["next_try_at"] = now  # its state has changed in the cloud: observe it first
    notices: tuple[UserNotice, ...] = ()
    if order.tries + 1 >= rules.tell_after:
        notices = (_end_failed_notice(order),)
    return OrderUpdate(changes, notices, what=f"{verb}_failed", request_id=result.error.request_id)
