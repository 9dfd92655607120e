"""Bindings, consents and orders: every change happens once, from the right state, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from spawner.errors import LostRace
from spawner.ledger import Ledger
from spawner.ledger.paid import audit, bindings, consents, orders
from spawner.ledger.paid.rows import LINKED, OVER, BindingState, Block, ConsentState, NoticeKind, OrderState, StopReason
from spawner.ledger.transitions import revision
from tests.ledger.conftest import Together
from tests.paid.make import NOW, SINCE, later, order, write_binding, write_consent, write_order

Change = Callable[[Connection], object]
THREADS = 12

BINDINGS: dict[str, tuple[tuple[BindingState, ...], BindingState, Change]] = {
    "activate": (
        (BindingState.PROVEN, *LINKED),
        BindingState.ACTIVE,
        lambda c: bindings.activate(c, "b1", role="role", workspaces={"r": "w"}, now=NOW),
    ),
    "block": (
        (BindingState.ACTIVE,),
        BindingState.BLOCKED,
        lambda c: bindings.block(c, "b1", Block.AUTH_LOST, now=NOW),
    ),
    "unblock": ((BindingState.BLOCKED,), BindingState.ACTIVE, lambda c: bindings.unblock(c, "b1")),
    "unlink": (
        (BindingState.PROVEN, *LINKED),
        BindingState.UNLINKED,
        lambda c: bindings.unlink(c, "b1", now=NOW),
    ),
}
CONSENTS: dict[str, tuple[tuple[ConsentState, ...], ConsentState, Change]] = {
    "accept": ((ConsentState.OFFERED,), ConsentState.ACCEPTED, lambda c: consents.accept(c, "c1", now=NOW)),
    "spend": ((ConsentState.ACCEPTED,), ConsentState.SPENT, lambda c: consents.spend(c, "c1", now=NOW)),
    "withdraw": (
        (ConsentState.OFFERED, ConsentState.ACCEPTED),
        ConsentState.WITHDRAWN,
        lambda c: consents.withdraw(c, "c1", now=NOW),
    ),
}


@pytest.mark.parametrize("state", list(BindingState))
@pytest.mark.parametrize("name", BINDINGS)
def test_a_binding_changes_from_the_right_state_or_not_at_all(ledger: Ledger, name: str, state: BindingState) -> None:
    allowed, to, change = BINDINGS[name]
    before = write_binding(ledger, state=state)
    assert ledger.read(bindings.get, "b1") == before
    if state in allowed:
        ledger.write(change)
        assert ledger.read(bindings.get, "b1").state is to
        assert (ledger.read(bindings.get, "b1").blocked is not None) is (to is BindingState.BLOCKED)
    else:
        with pytest.raises(LostRace):
            ledger.write(change)
        assert ledger.read(bindings.get, "b1") == before


@pytest.mark.parametrize("state", list(ConsentState))
@pytest.mark.parametrize("name", CONSENTS)
def test_a_consent_changes_from_the_right_state_or_not_at_all(ledger: Ledger, name: str, state: ConsentState) -> None:
    allowed, to, change = CONSENTS[name]
    before = write_consent(ledger, state=state)
    if state in allowed:
        ledger.write(change)
    else:
        with pytest.raises(LostRace):
            ledger.write(change)
    after = ledger.read(consents.get, "c1")
    assert after.state is (to if state in allowed else state)
    stamps = {name: getattr(before, name) for name in ("state", "accepted_at", "spent_at", "closed_at")}
    assert replace(after, **stamps) == before, "what was asked never changes"


def test_a_consent_is_accepted_and_spent_only_once_concurrently(ledger: Ledger, together: Together[bool]) -> None:
    def tried(change: Change) -> bool:
        try:
            ledger.write(change)
        except LostRace:
            return False
        return True

    write_consent(ledger)
    for name in ("accept", "spend"):
        assert together([lambda n=name: tried(CONSENTS[n][2])] * THREADS).count(True) == 1  # type: ignore[misc]
    assert ledger.read(consents.get, "c1").state is ConsentState.SPENT


def test_of_two_tabs_one_accepts_a_consent_for_a_server(ledger: Ledger, together: Together[bool]) -> None:
    def accept(name: str) -> bool:
        try:
            ledger.write(consents.accept, name, now=NOW)
        except LostRace:
            return False
        return True

    for number in range(THREADS):
        write_consent(ledger, f"t{number}")
    assert together([lambda n=n: accept(f"t{n}") for n in range(THREADS)]).count(True) == 1  # type: ignore[misc]


def test_an_accepted_consent_is_valid_until_it_expires(ledger: Ledger) -> None:
    write_consent(ledger)
    ledger.write(consents.accept, "c1", now=NOW)
    assert ledger.read(consents.accepted, "ann", "paid-1", user_since=SINCE, now=later(599)) is not None
    assert ledger.read(consents.accepted, "ann", "paid-1", user_since=SINCE, now=later(600)) is None
    assert ledger.read(consents.accepted, "bob", "paid-1", user_since=SINCE, now=NOW) is None
    assert ledger.read(consents.accepted, "ann", "paid-2", user_since=SINCE, now=NOW) is None
    write_consent(ledger, "c2", expires_at=later(2000))
    ledger.write(consents.accept, "c2", now=later(700))  # an expired consent does not block a new one
    assert ledger.read(consents.get, "c1").state is ConsentState.EXPIRED
    assert ledger.write(consents.expire, now=later(3000)) == 1
    assert [consent.id for consent in ledger.read(consents.of_user, "ann")] in (["c1", "c2"], ["c2", "c1"])


def test_an_order_is_read_as_written(ledger: Ledger) -> None:
    full = order(
        state=OrderState.STOPPING, reason=StopReason.CAP, blocked=Block.AUTH_LOST, running=12.5, spent="0.000001",
        unsure=True, next_try_at=later(5), remote_reason="库存不足", version=7,
    )  # fmt: skip
    ledger.write(orders.insert_new, full)
    assert ledger.read(orders.get, "o1") == full
    assert ledger.read(orders.find, "o1") == full
    assert ledger.read(orders.find, "o2") is None


def test_a_server_has_one_live_order(ledger: Ledger, together: Together[bool]) -> None:
    def try_order(name: str, **changes: object) -> bool:
        try:
            ledger.write(orders.insert_new, order(name, server_name="paid-1", **changes))
        except LostRace:
            return False
        return True

    names = [f"o{number}" for number in range(THREADS)]
    assert together([lambda n=n: try_order(n) for n in names]).count(True) == 1  # type: ignore[misc]
    (won,) = ledger.read(orders.alive)
    for state in OrderState:
        ledger.write(orders.update_read, ledger.read(orders.get, won.id), {"state": state})
        if state not in OVER:
            assert not try_order("another")
    assert ledger.read(orders.alive) == []
    assert try_order("another")
    assert ledger.read(orders.of_server, "ann", "paid-1").id == "another"  # type: ignore[union-attr]


@pytest.mark.parametrize("same", ["id", "consent_id", "name"])
def test_unique_columns_refuse_a_second_row(ledger: Ledger, same: str) -> None:
    first = write_order(ledger, state=OrderState.GONE)
    with pytest.raises(LostRace):
        ledger.write(orders.insert_new, order("o2", **{same: getattr(first, same)}))


def test_the_same_name_in_another_account_is_no_conflict(ledger: Ledger) -> None:
    first = write_order(ledger)
    write_order(ledger, "o2", name=first.name, binding_id="b2")


@pytest.mark.parametrize("to", [OrderState.INTENDED, OrderState.CREATING])
def test_of_many_writers_of_one_version_one_succeeds(ledger: Ledger, together: Together[bool], to: OrderState) -> None:
    """Also if the state stays the same: a change needs the row version that it was decided from."""
    read = write_order(ledger, state=OrderState.INTENDED)

    def claim(number: int) -> bool:
        try:
            ledger.write(orders.update_read, read, {"state": to, "tries": number})
        except LostRace:
            return False
        return True

    assert together([lambda n=n: claim(n) for n in range(THREADS)]).count(True) == 1  # type: ignore[misc]
    assert ledger.read(orders.get, "o1").version == 1


def test_a_users_request_is_not_overwritten_by_the_steward(ledger: Ledger, together: Together[object]) -> None:
    for round_ in range(5):
        name = f"o{round_}"
        read = write_order(ledger, name, OrderState.ACTIVE)

        def see(read=read) -> object:  # type: ignore[no-untyped-def]
            return ledger.write(orders.update_read, read, {"running": 1.0})

        def want(name: str = name) -> object:
            return ledger.write(orders.want_stop, name, by="ann", now=NOW)

        together([see, want])
        found = ledger.read(orders.get, name)
        assert (found.running, found.stop_wanted_by, found.reason) == (1.0, "ann", StopReason.ASKED)


def test_a_users_request_counts_once_and_not_for_ended_orders(ledger: Ledger) -> None:
    write_order(ledger)
    write_order(ledger, "o2", OrderState.GONE)
    count = ledger.read(revision)
    assert ledger.write(orders.want_stop, "o1", by="ann", now=NOW)
    assert not ledger.write(orders.want_stop, "o1", by="root", now=later(1))
    assert ledger.write(orders.want_delete, "o1", by="ann", now=NOW)
    assert not ledger.write(orders.want_delete, "o2", by="ann", now=NOW)
    assert ledger.read(revision) == count + 2
    assert ledger.read(orders.get, "o1").stop_wanted_by == "ann"


def test_due_orders_are_read_by_urgency(ledger: Ledger) -> None:
    write_binding(ledger)
    write_binding(ledger, "b2", BindingState.UNLINKED, account_id="other")
    poll = {"state": OrderState.ACTIVE, "begun_at": later(-10)}
    write_order(ledger, "late", next_try_at=later(-5), **poll)
    write_order(ledger, "later", next_try_at=later(-1), **poll)
    write_order(ledger, "not yet", next_try_at=later(1), **poll)
    write_order(ledger, "busy", next_try_at=later(-9), busy_until=later(1), **poll)
    write_order(ledger, "over", OrderState.GONE)
    write_order(ledger, "unlinked", binding_id="b2", next_try_at=later(-9), **poll)
    write_order(ledger, "backs off", next_try_at=later(60), stop_wanted_at=later(-20), **poll)
    write_order(ledger, "wanted", next_try_at=later(60), stop_wanted_at=later(-2), **poll)
    write_order(ledger, "stopping", OrderState.STOPPING, next_try_at=later(-1), begun_at=later(-10))
    ids = [order.id for order in ledger.read(orders.due, now=NOW, at_most=9)]
    assert ids == ["stopping", "wanted", "late", "later"]
    assert [order.id for order in ledger.read(orders.due, now=NOW, at_most=2)] == ids[:2]


def test_orders_are_found_by_account_for_any_user(ledger: Ledger) -> None:
    write_binding(ledger)
    write_binding(ledger, "b2", user_name="bob")
    write_binding(ledger, "b3", user_name="bob", account_id="other")
    for number in (1, 2, 3):
        write_order(ledger, f"o{number}", binding_id=f"b{number}")
    account = ledger.read(bindings.get, "b1").account_id
    assert [order.id for order in ledger.read(orders.of_account, "dsw", account)] == ["o1", "o2"]
    assert [binding.id for binding in ledger.read(bindings.of_user, "bob")] == ["b2", "b3"]


def test_a_user_links_an_account_once(ledger: Ledger) -> None:
    write_binding(ledger)
    with pytest.raises(LostRace):
        write_binding(ledger, "b2")
    ledger.write(bindings.unlink, "b1", now=NOW)
    write_binding(ledger, "b3")
    assert [binding.id for binding in ledger.read(bindings.linked)] == ["b3"]


def test_order_events_keep_their_order(ledger: Ledger) -> None:
    for number in range(5):
        at = NOW - timedelta(seconds=number)  # clocks may go back
        ledger.write(audit.note, "o1", at=at, by="steward", what=f"w{number}", request_id="R", params={"n": number})
    assert [line.what for line in ledger.read(audit.record_of, "o1")] == [f"w{number}" for number in range(5)]
    assert ledger.read(audit.record_of, "o2") == []


def test_a_user_gets_a_notice_once(ledger: Ledger, together: Together[bool]) -> None:
    def tell(user: str = "ann") -> bool:
        return ledger.write(audit.tell, user, NoticeKind.AUTH_LOST, occasion="b1", at=NOW, params={"role": "r"})

    assert together([tell] * THREADS).count(True) == 1  # type: ignore[list-item]
    (notice,) = ledger.read(audit.notices_of, "ann")
    ledger.write(audit.see, "bob", notice.seq, now=NOW)
    assert ledger.read(audit.notices_of, "ann", unseen_only=True) == [notice]
    ledger.write(audit.see, "ann", notice.seq, now=NOW)
    assert ledger.read(audit.notices_of, "ann", unseen_only=True) == []
