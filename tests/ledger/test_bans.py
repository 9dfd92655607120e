"""A ban holds from the moment it is written until its end, and admission refuses its person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from spawner.errors import Banned
from spawner.ledger import Ledger
from spawner.ledger.paid import consents
from spawner.ledger.paid.rows import ConsentState
from spawner.ledger.people import bans, groups
from spawner.ledger.people.rows import Ban, BanCode, GroupSource
from spawner.paid.orders import service as order_service
from tests.ledger.pool import SimulatedPool
from tests.ledger.rows import NOW, later
from tests.paid import make as make_paid
from tests.unit import make

BAN = Ban("b1", "ann", BanCode.MINING, "xmrig", "seen twice", "mail us", "root", NOW, later(60))


def held(ledger: Ledger, now: datetime, person: str = "ann") -> str | None:
    ban = ledger.read(bans.of_person, person, now=now)
    return ban.id if ban else None


def test_a_ban_holds_until_its_end_or_until_it_is_lifted(ledger: Ledger) -> None:
    ledger.write(bans.put, BAN)
    assert [held(ledger, later(at)) for at in (0, 59, 60)] == ["b1", "b1", None]
    assert held(ledger, NOW, "bob") is None
    ledger.write(bans.put, replace(BAN, id="b2", until=None))
    assert held(ledger, later(10**9)) == "b2"
    assert held(ledger, NOW) == "b2", "the longest is told"
    assert [ban.id for ban in ledger.read(bans.holding, now=NOW)] == ["b1", "b2"]
    assert ledger.write(bans.lift, "ann", by="eve", now=later(1)) == 2
    assert held(ledger, later(2)) is None
    lifted = ledger.read(bans.history)
    assert {(ban.lifted_by, ban.lifted_at) for ban in lifted} == {("eve", later(1))}
    assert ledger.write(bans.lift, "ann", by="eve", now=later(1)) == 0


def test_admission_refuses_in_words_and_again_admits_after_the_end(ledger: Ledger) -> None:
    pool = SimulatedPool(ledger, time=NOW)
    ledger.write(bans.put, BAN)
    with pytest.raises(Banned, match=r"mining. The ban ends on 2026-03-01 12:01 UTC. You can appeal: mail us"):
        pool.ask("ann")
    assert pool.alive() == []
    pool.ask("bob")
    pool.pass_time(61)
    assert pool.ask("ann").person_id == "ann"


def test_a_consent_is_not_spent_and_stays(ledger: Ledger) -> None:
    make_paid.write_binding(ledger)
    make_paid.write_consent(ledger, "c1", ConsentState.ACCEPTED)
    ledger.write(bans.put, BAN)
    with pytest.raises(Banned):
        ledger.write(order_service.place, person_id="ann", server_name="paid-1", now=make_paid.NOW)
    assert ledger.read(consents.get, "c1").state is ConsentState.ACCEPTED


def test_an_operators_group_counts_for_the_place_in_line(ledger: Ledger) -> None:
    pool = SimulatedPool(
        ledger, time=NOW, catalog=make.catalog(make.flavor(limit=1), queue={"weights": {"staff": 4.0}})
    )
    pool.start("first")
    pool.pass_time(3600)
    ledger.write(groups.replace, "ann", GroupSource.ADMINISTRATOR, ["staff"], by="root", now=NOW)
    ledger.write(groups.replace, "cat", GroupSource.LOGIN, ["staff"], by="login", now=NOW)
    plain = pool.ask("bob").rank_at
    assert pool.ask("ann").rank_at == pool.ask("cat").rank_at
    assert pool.ask("dan").rank_at == plain
