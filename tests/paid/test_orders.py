"""The state machine of orders: properties that hold for every row, time and answer of the cloud."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawner.ledger.paid.rows import (
    OVER,
    RUNS,
    UNSETTLED,
    Block,
    Consent,
    ConsentState,
    NoticeKind,
    Order,
    OrderState,
    StopReason,
)
from spawner.paid.orders.policy import (
    MUTATING,
    Action,
    CreationPolicy,
    NextAction,
    Rules,
    intent_of,
    next_action,
    seconds_left,
)
from spawner.paid.orders.results import (
    CallFailed,
    CallResult,
    InstanceSeen,
    NotListed,
    RequestTaken,
    TermsChanged,
    apply_result,
)
from spawner.paid.orders.updates import OrderUpdate
from spawner.paid.providers import base
from spawner.paid.providers.base import RemoteInstance, RemoteState
from tests.paid import make
from tests.paid.make import NOW, later

RULES = Rules()
StepTaken = tuple[Order, Consent | None, NextAction, CallResult | None, OrderUpdate]
CONSENT = make.consent("c-o1", ConsentState.SPENT, spent_at=NOW)
thorough = settings(max_examples=300, deadline=None)

seconds = st.floats(-5000, 5000).map(later)
maybe = st.none() | seconds
ERRORS = [
    error("…")
    for error in (
        base.Rejected, base.AlreadyExists, base.NoCapacity, base.Insufficient, base.Conflict, base.NotFound,
        base.AuthLost, base.Throttled, base.ClockSkew, base.Unavailable, base.OutcomeUnknown,
    )
]  # fmt: skip
SLOW_DOWN = base.Throttled("…", after=77)
errors = st.sampled_from([*ERRORS, SLOW_DOWN])
remotes = st.builds(
    lambda state, running, stops_at: remote(state, running=running, stops_at=stops_at),
    st.sampled_from(RemoteState),
    st.none() | st.floats(0, 1e6),
    maybe,
)


def remote(state: RemoteState = RemoteState.RUNNING, **changes: Any) -> RemoteInstance:
    values: dict[str, Any] = {
        "id": "dsw-1", "name": "fpo1", "region": "cn-hangzhou", "state": state, "raw_state": state.title(),
        "reason": "", "instance_type": "ecs.g6.large", "labels": {}, "running": None, "created_at": None,
        "stops_at": None,
    }  # fmt: skip
    return RemoteInstance(**values | changes)


@st.composite
def rows(draw: st.DrawFn) -> Order:
    """Any row, including some that the state machine never writes."""
    state = draw(st.sampled_from(OrderState))
    is_made = state in (*RUNS, OrderState.STOPPING, OrderState.STOPPED, OrderState.DELETING, OrderState.GONE)
    has_id = is_made or (state in (OrderState.INTENDED, *UNSETTLED) and draw(st.booleans()))
    return make.order(
        "o1",
        state,
        remote_id="dsw-1" if has_id else None,
        posted_at=None if state is OrderState.INTENDED else draw(seconds),
        active_at=draw(maybe),
        asked_at=draw(maybe),
        auto_stop_set_at=draw(maybe),
        run_began_at=draw(maybe),
        seen_at=draw(maybe),
        stops_at=draw(maybe),
        stopped_at=draw(maybe),
        recovered_at=draw(seconds) if state is OrderState.RECOVERED else None,
        consent_id=None if state is OrderState.RECOVERED else "c-o1",
        next_try_at=draw(maybe),
        busy_until=draw(maybe),
        begun_at=draw(maybe),
        unsure=draw(st.booleans()),
        tries=draw(st.integers(0, 9)),
        remote_state=draw(st.none() | st.sampled_from([str(remote_state) for remote_state in RemoteState])),
        running=draw(st.none() | st.floats(0, 1e6)),
        reason=draw(st.none() | st.sampled_from(StopReason)),
        blocked=draw(st.sampled_from([None, Block.AUTH_LOST])),
        blocked_at=NOW,
        stop_wanted_at=draw(maybe),
        delete_wanted_at=draw(maybe),
    )


consents = st.builds(lambda at: replace(CONSENT, spent_at=at), seconds)


def consent_of(order: Order, consent: Consent) -> Consent | None:
    return None if order.consent_id is None else consent


def act_on(
    order: Order, consent: Consent | None, now: datetime = NOW, *, creation_policy: CreationPolicy = CreationPolicy.OPEN
) -> NextAction:
    return next_action(order, consent, now, creation_policy=creation_policy, can_set_auto_stop=True, rules=RULES)


def after(
    order: Order,
    consent: Consent | None,
    action: NextAction,
    result: CallResult | None,
    now: datetime = NOW,
    **more: Any,
) -> OrderUpdate:
    claimed = replace(order, **intent_of(order, action, now, RULES)) if action.kind in MUTATING else order
    return apply_result(claimed, consent, action, result, now, was=order, began=now, rules=RULES, jitter=0.5, **more)


def outcomes_of(draw: st.DrawFn, action: NextAction) -> CallResult | None:
    """A possible result of an action."""
    trouble = CallFailed(draw(errors), action.kind in MUTATING)
    match action.kind:
        case Action.CREATE | Action.START:
            unsent = CallFailed(draw(errors), False)
            kinds = [
                RequestTaken("dsw-1"),
                TermsChanged(("{instance_type} …", {"instance_type": "x"})),
                trouble,
                unsent,
            ]
            return draw(
                st.sampled_from([*kinds, InstanceSeen(draw(remotes))] if action.kind is Action.CREATE else kinds)
            )
        case Action.FIND:
            return draw(st.sampled_from([NotListed(), InstanceSeen(draw(remotes)), trouble]))
        case Action.DESCRIBE:
            return draw(st.sampled_from([InstanceSeen(draw(remotes)), trouble]))
        case Action.GIVE_UP:
            return None
        case _:
            return draw(st.sampled_from([RequestTaken(), trouble]))


@thorough
@given(order=rows(), consent=consents, creation_policy=st.sampled_from(CreationPolicy))
def test_creates_and_starts_need_a_wanted_order_and_a_fresh_consent(
    order: Order, consent: Consent, creation_policy: CreationPolicy
) -> None:
    action = act_on(order, consent_of(order, consent), creation_policy=creation_policy)
    if action.kind in (Action.CREATE, Action.START):
        assert order.state in (OrderState.INTENDED, *UNSETTLED)
        assert not order.is_unwanted
        assert creation_policy is CreationPolicy.OPEN
        assert consent.spent_at is not None
        assert NOW - consent.spent_at < timedelta(seconds=RULES.create_within)
    if action.kind is Action.START:
        assert order.state is OrderState.INTENDED, "a start is sent once"
    if action.kind is Action.CREATE and order.state is not OrderState.INTENDED:
        assert order.posted_at is not None
        assert NOW - order.posted_at >= timedelta(seconds=RULES.quiet)


@thorough
@given(order=rows(), consent=consents)
def test_only_a_requested_deletion_deletes_and_only_known_instances_are_called(order: Order, consent: Consent) -> None:
    action = act_on(order, consent_of(order, consent))
    if action.kind is Action.DELETE:
        assert order.delete_wanted_at is not None or order.state is OrderState.DELETING
    if action.kind in (Action.STOP, Action.DELETE, Action.SET_AUTO_STOP, Action.START, Action.DESCRIBE):
        assert order.remote_id is not None
    is_busy = order.busy_until is not None and order.busy_until > NOW
    clock_went_back = order.begun_at is not None and order.begun_at > NOW
    if order.state in OVER or (is_busy and not clock_went_back):
        assert action.kind is Action.WAIT


@thorough
@given(order=rows(), consent=consents)
def test_a_running_instance_without_auto_stop_gets_it_or_is_stopped(order: Order, consent: Consent) -> None:
    order = replace(order, state=OrderState.ACTIVE, remote_id="dsw-1", consent_id="c-o1", busy_until=None,
                    next_try_at=None, unsure=False, auto_stop_set_at=None, remote_state="running")  # fmt: skip
    action = act_on(order, consent)
    assert action.kind in (Action.SET_AUTO_STOP, Action.STOP)
    if action.kind is Action.SET_AUTO_STOP:
        assert action.stop_in is not None
        assert 1 <= action.stop_in <= consent.run_seconds
    if order.tries >= RULES.auto_stop_tries and not order.is_unwanted and seconds_left(order, consent, NOW, RULES) > 0:
        assert action == NextAction(Action.STOP, StopReason.UNPROTECTED)


@thorough
@given(order=rows(), consent=consents)
def test_a_new_stop_request_waits_only_for_a_call_in_progress(order: Order, consent: Consent) -> None:
    order = replace(order, state=OrderState.ACTIVE, remote_id="dsw-1", unsure=False, stop_wanted_at=later(-1),
                    delete_wanted_at=None, begun_at=later(-2), next_try_at=later(300), busy_until=None)  # fmt: skip
    assert act_on(order, consent).kind is Action.STOP
    assert act_on(replace(order, begun_at=NOW), consent).kind is Action.WAIT, "it was tried and backs off"
    assert act_on(replace(order, busy_until=later(1)), consent).kind is Action.WAIT


@st.composite
def steps(draw: st.DrawFn) -> StepTaken:
    """A row, the action on it, the result of the action, and the resulting update."""
    order = replace(draw(rows()), busy_until=None, next_try_at=None)
    consent = consent_of(order, draw(consents))
    action = act_on(order, consent)
    result = outcomes_of(draw, action)
    return order, consent, action, result, after(order, consent, action, result)


@thorough
@given(taken=steps())
def test_an_instance_is_never_forgotten(taken: StepTaken) -> None:
    order, _, action, result, update = taken
    if action.kind is Action.WAIT:
        return
    to = update.changes.get("state", order.state)
    if to is OrderState.GONE and order.state is not OrderState.GONE:
        assert action.kind is Action.DESCRIBE
        assert isinstance(result, CallFailed)
        assert isinstance(result.error, base.NotFound)
    if to is OrderState.REJECTED:
        assert order.remote_id is None
        is_no = isinstance(result, CallFailed) and isinstance(result.error, base.Rejected | base.AuthLost)
        assert action.kind in (Action.GIVE_UP, Action.FIND) or isinstance(result, TermsChanged) or is_no
        if action.kind is Action.FIND:
            assert isinstance(result, NotListed)
            assert NOW - order.posted_at >= RULES.watch_for  # type: ignore[operator]
        elif action.kind is Action.CREATE:
            assert order.posted_at is None, "an instance of an unanswered create may still appear"
    updated = replace(order, **update.changes)
    if updated.state in (*RUNS, OrderState.STOPPING, OrderState.STOPPED, OrderState.DELETING):
        assert updated.remote_id is not None
    if to is OrderState.STOPPED and order.state is not OrderState.STOPPED and order.state is not OrderState.INTENDED:
        is_seen = isinstance(result, InstanceSeen) and result.remote.state in (RemoteState.STOPPED, RemoteState.FAILED)
        is_refused = action.kind is Action.START
        assert is_seen or is_refused


@thorough
@given(taken=steps())
def test_every_unfinished_order_has_a_next_try(taken: StepTaken) -> None:
    order, _, action, result, update = taken
    updated = replace(order, **update.changes)
    if action.kind is Action.WAIT:
        return
    assert updated.busy_until is None
    if updated.state not in OVER:
        assert updated.next_try_at is not None
        assert updated.next_try_at <= NOW + timedelta(seconds=RULES.poll_seldom)
    is_slowed = isinstance(result, CallFailed) and result.error is SLOW_DOWN
    if is_slowed and updated.state not in RUNS:  # running instances are checked in time for their limits
        asked = min(77.0, RULES.longest_stop_pause if updated.state is OrderState.STOPPING else 77.0)
        assert updated.next_try_at is not None
        assert updated.next_try_at >= NOW + timedelta(seconds=asked)


@thorough
@given(taken=steps())
def test_lost_access_blocks_the_account_and_changes_no_state(
    taken: tuple[Order, Consent | None, NextAction, CallResult | None, OrderUpdate],
) -> None:
    order, _, action, result, update = taken
    if not (isinstance(result, CallFailed) and isinstance(result.error, base.AuthLost)):
        assert update.block is None
        return
    assert update.block is Block.AUTH_LOST
    assert update.changes["blocked"] is Block.AUTH_LOST
    if action.kind in (Action.DESCRIBE, Action.FIND):
        assert update.changes.get("state", order.state) is order.state


@thorough
@given(taken=steps())
def test_the_amount_spent_is_exact_to_a_millionth(taken: StepTaken) -> None:
    _, consent, _, _, update = taken
    spent = update.changes.get("spent")
    if spent is not None:
        assert consent is not None
        assert Decimal(spent) >= 0
        assert Decimal(spent) == Decimal(spent).quantize(Decimal("0.000001"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_only_a_definite_refusal_rejects_an_order(error: base.ProviderError) -> None:
    intended = make.order(state=OrderState.INTENDED)
    update = after(intended, CONSENT, NextAction(Action.CREATE), CallFailed(error, True))
    definite = isinstance(error, base.Rejected | base.AuthLost) and not isinstance(
        error, base.AlreadyExists | base.Conflict | base.NotFound
    )
    not_done = isinstance(error, base.Throttled | base.ClockSkew | base.Unavailable)
    expected = OrderState.REJECTED if definite else OrderState.INTENDED if not_done else OrderState.UNKNOWN
    assert update.changes["state"] is expected
    again = after(replace(intended, state=OrderState.UNKNOWN, posted_at=later(-60)), CONSENT, NextAction(Action.CREATE),
                  CallFailed(error, True))  # fmt: skip
    assert again.changes["state"] is OrderState.UNKNOWN, "an earlier create may still take effect"


def test_back_off_doubles_up_to_a_limit() -> None:
    order = make.order(state=OrderState.STOPPING, remote_id="dsw-1", stop_wanted_at=NOW)
    pauses = []
    for tries in range(12):
        update = after(
            replace(order, tries=tries), CONSENT, NextAction(Action.STOP), CallFailed(base.Unavailable("…"), True)
        )
        pauses.append((update.changes["next_try_at"] - NOW).total_seconds())
    assert pauses == sorted(pauses)
    assert pauses[1] == 2 * pauses[0]
    assert pauses[-1] <= RULES.longest_stop_pause


def test_the_steward_stops_an_instance_before_its_cap() -> None:
    began = later(-4 * 3600 + 91)
    order = make.order(state=OrderState.ACTIVE, remote_id="dsw-1", auto_stop_set_at=began, run_began_at=began,
                       seen_at=later(-30), remote_state="running")  # fmt: skip
    assert act_on(order, CONSENT).kind is Action.DESCRIBE
    assert act_on(order, CONSENT, later(1)) == NextAction(Action.STOP, StopReason.CAP)
    by_time = replace(CONSENT, max_seconds=3600, run_seconds=3600)
    assert act_on(order, by_time) == NextAction(Action.STOP, StopReason.TIME)
    counted = replace(order, run_began_at=later(-10), running=4 * 3600.0, ran_before=0)
    assert act_on(counted, CONSENT) == NextAction(Action.STOP, StopReason.CAP), "by the cloud's own count"
    earlier = replace(counted, ran_before=4 * 3600.0)
    assert act_on(earlier, CONSENT).kind is Action.DESCRIBE, "the time of earlier runs does not count"


def test_a_notice_is_sent_when_most_of_the_cap_is_spent() -> None:
    began = later(-3.5 * 3600)
    order = make.order(state=OrderState.ACTIVE, remote_id="dsw-1", auto_stop_set_at=began, run_began_at=began)
    kinds = [
        notice.kind
        for notice in after(
            order, CONSENT, NextAction(Action.DESCRIBE), InstanceSeen(remote(stops_at=later(1800)))
        ).notices
    ]
    assert kinds == [NoticeKind.RUNNING, NoticeKind.MOST_SPENT]
    young = replace(order, run_began_at=later(-3 * 3600))
    assert [
        notice.kind
        for notice in after(
            young, CONSENT, NextAction(Action.DESCRIBE), InstanceSeen(remote(stops_at=later(1800)))
        ).notices
    ] == kinds[:1]


def test_a_notice_is_sent_before_a_stopped_instance_is_wiped() -> None:
    order = make.order(state=OrderState.STOPPED, remote_id="dsw-1", stopped_at=NOW - timedelta(days=12))
    seen = InstanceSeen(remote(RemoteState.STOPPED))
    assert [notice.kind for notice in after(order, CONSENT, NextAction(Action.DESCRIBE), seen).notices] == [
        NoticeKind.WIPED_SOON
    ]
