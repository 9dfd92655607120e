"""What a look at an instance makes of its order: the cloud decides what is, and the row says what was meant to be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from spawner.ledger.paid.rows import Consent, NoticeKind, Order, OrderChanges, OrderState, StopReason
from spawner.paid.orders.policy import limit_of, spent_by
from spawner.paid.orders.updates import OrderUpdate, UserNotice, notice
from spawner.paid.providers.base import RemoteInstance, RemoteState
from spawner.paid.rules import Rules

ALIVE = (RemoteState.PROVISIONING, RemoteState.RUNNING, RemoteState.UNKNOWN)
"""It computes, or may."""
MAY_BILL = (*ALIVE, RemoteState.FAILED)
"""What has failed may bill all the same; what stops is about to end that."""
MOST_SPENT_SHARE = Decimal("0.8")
TIMER_SLACK = timedelta(seconds=120)
"""Stopped so close to when the timer was due, it was the timer."""


def apply_observation(
    order: Order, consent: Consent | None, remote: RemoteInstance, now: datetime, rules: Rules
) -> OrderUpdate:
    """What to write after the cloud has shown it."""
    changes: OrderChanges = {
        "seen_at": now,
        "remote_state": remote.state,
        "raw_state": remote.raw_state,
        "remote_reason": remote.reason or None,
        "unsure": False,
    }
    if remote.running is not None:
        changes["running"] = max(remote.running, order.running or 0.0)
    if remote.stops_at is not None:
        changes["stops_at"] = remote.stops_at
    if remote.state in ALIVE and order.state is not OrderState.STOPPED:
        changes["stopped_at"] = None
        if order.run_began_at is None:
            changes["run_began_at"] = now
    if remote.state in MAY_BILL and order.state is not OrderState.STOPPED:
        changes["spent"] = spent_by(replace(order, **changes), consent, now)
    seen = replace(order, **changes)
    match order.state:
        case OrderState.ACTIVE | OrderState.RECOVERED:
            update = _running(seen, order, consent, remote, now, rules)
        case OrderState.STOPPING:
            update = _stopping(seen, consent, remote, now, rules)
        case OrderState.STOPPED:
            update = _stopped(seen, remote, now, rules)
        case OrderState.DELETING:
            update = _deleting(seen, remote, now, rules)
        case _:
            update = _starting(seen, order, consent, remote, now, rules)
    return replace(update, changes=changes | update.changes, notices=(*update.notices, *_state_notices(seen, remote)))


def _state_notices(order: Order, remote: RemoteInstance) -> tuple[UserNotice, ...]:
    """A state that we have never heard of, or that needs a person."""
    if remote.state is RemoteState.UNKNOWN:
        return (notice(NoticeKind.STRANGE_STATE, order, raw=remote.raw_state),)
    if remote.state is RemoteState.FAILED:
        return (notice(NoticeKind.FAILED, order, raw=remote.raw_state, why=remote.reason),)
    return ()


def _retry_in(now: datetime, seconds: float) -> OrderChanges:
    return {"next_try_at": now + timedelta(seconds=seconds)}


def _running(
    order: Order, was: Order, consent: Consent | None, remote: RemoteInstance, now: datetime, rules: Rules
) -> OrderUpdate:
    if remote.state is RemoteState.STOPPED:
        just_started = order.active_at is not None and now - order.active_at < timedelta(seconds=rules.seen_within)
        was_seen = was.remote_state not in (None, RemoteState.STOPPED) or _has_run(order)
        if just_started and not was_seen and not order.is_unwanted:
            return OrderUpdate(_retry_in(now, rules.poll_soon))  # the start was taken, and is not shown yet
        return _to_stopped(order, consent, now, rules)
    if remote.state is RemoteState.STOPPING:
        reason = order.reason or _stop_reason(order, consent, now)
        return OrderUpdate(
            {"state": OrderState.STOPPING, "asked_at": now, "reason": reason, **_retry_in(now, rules.poll_soon)},
            what="stops",
            params={"raw": remote.raw_state},
        )
    if remote.state is RemoteState.DELETING:
        return OrderUpdate(
            {"state": OrderState.DELETING, "asked_at": now, **_retry_in(now, rules.poll_soon)}, what="deletes"
        )
    had_auto_stop = order.auto_stop_set_at is not None and now - order.auto_stop_set_at >= timedelta(
        seconds=rules.seen_within
    )
    if remote.state is RemoteState.RUNNING and had_auto_stop and remote.stops_at is None:
        # Stopped and started again while nobody looked, or somebody took its timer away: it gets one once more.
        return OrderUpdate({"auto_stop_set_at": None, "tries": 0, **_retry_in(now, 0)}, what="timer_lost")
    told: list[UserNotice] = []
    if remote.state is RemoteState.RUNNING and order.state is OrderState.ACTIVE:
        told.append(notice(NoticeKind.RUNNING, order))
        if (
            consent is not None
            and order.spent is not None
            and Decimal(order.spent) >= Decimal(consent.cap) * MOST_SPENT_SHARE
        ):
            told.append(notice(NoticeKind.MOST_SPENT, order, spent=order.spent, **_limits(consent)))
    # What is unarmed, or to be ended, goes on at once; a step that failed has its pause from `tries`.
    waits_for_us = order.auto_stop_set_at is None or order.is_unwanted
    pause = rules.poll if remote.state is RemoteState.RUNNING else rules.poll_soon
    if waits_for_us and order.tries:
        pause = min(pause, rules.first_pause * 2 ** min(order.tries, 16))
    elif order.is_unwanted:
        pause = 0
    changes: OrderChanges = _retry_in(now, pause)
    if order.auto_stop_set_at is not None and not order.is_unwanted:
        changes["tries"] = 0
    return OrderUpdate(changes, tuple(told))


def _limits(consent: Consent) -> dict[str, str]:
    return {"cap": consent.cap, "currency": consent.currency}


def _stop_reason(order: Order, consent: Consent | None, now: datetime) -> StopReason:
    """Why it stops without us: its timer, or else somebody in the cloud, or the cloud's idle culler."""
    by_timer = order.auto_stop_set_at is not None and order.stops_at is not None and now >= order.stops_at - TIMER_SLACK
    if order.auto_stop_set_at is not None and consent is not None and not by_timer:
        # `stops_at` is by our clock. The cloud's own count tells the same where the two disagree.
        by_timer = _cloud_seconds(order) >= consent.run_seconds - TIMER_SLACK.total_seconds()
    return limit_of(consent) if by_timer else StopReason.OUTSIDE


def _cloud_seconds(order: Order) -> float:
    """Seconds of the present run, by the cloud's own count."""
    return max(0.0, (order.running or 0.0) - order.ran_before)


def _has_run(order: Order) -> bool:
    return _cloud_seconds(order) > 0


def _to_stopped(order: Order, consent: Consent | None, now: datetime, rules: Rules) -> OrderUpdate:
    """It computes no more. A wish that it stop has come true; one that it be deleted stands."""
    reason = order.reason or _stop_reason(order, consent, now)
    # When it really stopped, while nobody looked, the cloud's own count says; what we saw before stands.
    counted = spent_by(replace(order, run_began_at=None), consent, now)
    spent = counted if counted is None else str(max(Decimal(counted), Decimal(order.spent or 0)))
    changes: OrderChanges = {
        "state": OrderState.STOPPED,
        "reason": reason,
        "stopped_at": now if order.stopped_at is None or _has_run(order) else order.stopped_at,
        "spent": spent,
        "asked_at": None,
        "tries": 0,
        "stop_wanted_at": None,
        "stop_wanted_by": None,
        **_retry_in(now, 0 if order.delete_wanted_at else rules.poll_seldom),
    }
    params = {"reason": str(reason), "seconds": f"{_cloud_seconds(order):.0f}"}
    if consent is not None and spent is not None:
        params |= {"spent": spent, **_limits(consent)}
    return OrderUpdate(changes, (notice(NoticeKind.STOPPED, order, **params),), what="stopped", params=params)


def _stopping(
    order: Order, consent: Consent | None, remote: RemoteInstance, now: datetime, rules: Rules
) -> OrderUpdate:
    if remote.state is RemoteState.STOPPED:
        return _to_stopped(order, consent, now, rules)
    if remote.state is RemoteState.DELETING:
        return OrderUpdate(
            {"state": OrderState.DELETING, "asked_at": now, **_retry_in(now, rules.poll_soon)}, what="deletes"
        )
    if remote.state is RemoteState.FAILED:
        if order.delete_wanted_at is not None:
            return OrderUpdate({"state": OrderState.DELETING, "asked_at": None, **_retry_in(now, 0)})
        return _to_stopped(order, consent, now, rules)  # no more of a stop than this is to be had
    if remote.state is RemoteState.STOPPING:
        return OrderUpdate({"asked_at": order.asked_at or now, **_retry_in(now, rules.poll_soon)})
    pause = rules.poll_soon
    if order.asked_at is None:  # it was not taken: asked again, later each time
        pause = min(rules.longest_stop_pause, rules.first_pause * 2 ** min(order.tries, 16)) if order.tries > 1 else 0
    return OrderUpdate(_retry_in(now, pause))


def _stopped(order: Order, remote: RemoteInstance, now: datetime, rules: Rules) -> OrderUpdate:
    if remote.state in ALIVE:
        changes: OrderChanges = {
            "state": OrderState.RECOVERED,
            "recovered_at": now,
            "consent_id": None,
            "reason": None,
            "auto_stop_set_at": None,
            "stopped_at": None,
            "run_began_at": now,
            "ran_before": order.running or 0.0,
            "spent": None,
            "tries": 0,
            **_retry_in(now, 0),
        }
        told = notice(NoticeKind.RECOVERED, replace(order, **changes), raw=remote.raw_state)
        return OrderUpdate(changes, (told,), what="started_outside")
    if remote.state is RemoteState.DELETING:
        return OrderUpdate(
            {"state": OrderState.DELETING, "asked_at": now, **_retry_in(now, rules.poll_soon)}, what="deletes"
        )
    told_soon: tuple[UserNotice, ...] = ()
    if order.stopped_at is not None and now - order.stopped_at >= rules.wiped_warning:
        told_soon = (notice(NoticeKind.WIPED_SOON, order),)
    pause = rules.poll_seldom if order.delete_wanted_at is None else 0
    return OrderUpdate({"tries": 0 if pause else order.tries, **_retry_in(now, pause)}, told_soon)


def _deleting(order: Order, remote: RemoteInstance, now: datetime, rules: Rules) -> OrderUpdate:
    if remote.state is RemoteState.DELETING:
        return OrderUpdate({"asked_at": order.asked_at or now, **_retry_in(now, rules.poll_soon)})
    if remote.state in (RemoteState.STOPPED, RemoteState.FAILED):
        pause = rules.poll_soon
        if order.asked_at is None:
            pause = min(rules.longest_pause, rules.first_pause * 2 ** min(order.tries, 16)) if order.tries > 1 else 0
        return OrderUpdate(_retry_in(now, pause))
    # It runs, or is about to stop: it must be stopped first.
    asked = now if remote.state is RemoteState.STOPPING else None
    return OrderUpdate({"state": OrderState.STOPPING, "asked_at": asked, **_retry_in(now, 0)})


def _starting(
    order: Order, was: Order, consent: Consent | None, remote: RemoteInstance, now: datetime, rules: Rules
) -> OrderUpdate:
    """It was asked to start, and whether that was taken is not known. It is never asked again."""
    if remote.state is RemoteState.STOPPED:
        if (remote.running or 0.0) > (was.running or 0.0):
            return _to_stopped(order, consent, now, rules)
        if order.posted_at is not None and now - order.posted_at < timedelta(seconds=rules.quiet):
            return OrderUpdate(_retry_in(now, rules.poll_soon))
        stopped = _to_stopped(replace(order, reason=StopReason.NOT_STARTED), consent, now, rules)
        told = notice(NoticeKind.NOT_MADE, order, reason=StopReason.NOT_STARTED)
        return replace(stopped, notices=(told,), what="not_started")
    active: OrderChanges = {"state": OrderState.ACTIVE, "active_at": now, "tries": 0}
    update = _running(replace(order, **active), was, consent, remote, now, rules)
    return replace(update, changes=active | update.changes | _retry_in(now, 0), what="started")
