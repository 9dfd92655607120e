"""Prices, caps and offers are exact; a type of unknown price is not offered."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spawner.errors import BadOption, NoConsent, NotAllowed, OfferChanged
from spawner.ledger.paid.rows import BindingState, Consent, ConsentKind, ConsentState, Order, OrderState
from spawner.paid import money, quotes
from spawner.paid.accounts import binding
from spawner.paid.consent import rules as consent_rules
from spawner.paid.consent import text as consent_text
from spawner.paid.consent.rules import Chosen, Page, Parties, ask, change_since, check_answer
from spawner.paid.money import Money
from spawner.paid.names import NAME_LENGTH, name_of
from spawner.paid.providers.base import Capability, InstanceType, Probe
from spawner.paid.quotes import Needs, QuoteGroup, cap_seconds, cost, grouped, quote, run_seconds, terms_of
from tests.paid import make
from tests.paid.make import NOW, later
from tests.unit.make import quick

GIB = 1024**3
amounts = st.decimals(Decimal("0.000001"), Decimal(100000), places=6)
ALL = frozenset(Capability)


def cny(amount: str | Decimal) -> Money:
    return Money(Decimal(amount), "CNY")


def instance_type(name: str = "s", price: str | None = "0.65", **changes: Any) -> InstanceType:
    values: dict[str, Any] = {
        "id": name, "cpu": 2, "memory": 8 * GIB, "gpu_count": 0, "gpu_name": None, "gpu_memory": None,
        "price": None if price is None else cny(price), "available": True, "disk": 100 * GIB, "disk_price": None,
    }  # fmt: skip
    return InstanceType(**values | changes)


VALID = {"token": make.TOKEN}


def asked(one: InstanceType | None = None, *, now: float = 0, **changes: Any) -> Consent:
    parties = Parties(make.make_binding(), "cn-hangzhou", "A Cloud", ALL)
    page = Page("5e55", "en", make.TOKEN)
    parties = replace(
        parties, **{name: changes[name] for name in {"binding", "capabilities", "order"} & changes.keys()}
    )
    page = replace(page, **{name: changes[name] for name in changes.keys() & {"language", "zone"}})
    values: dict[str, Any] = {
        "quote": quote([one or instance_type()], Needs(), disk=None, read_at=NOW)[0],
        "chosen": Chosen("paid-1", cny("2.60"), 8 * 3600, idle_seconds=1800),
    }
    values |= {name: changes[name] for name in changes.keys() & values.keys()}
    return ask("c1", parties, page=page, now=later(now), **values)


# -- quotes


def test_the_cheapest_fitting_type_is_first_and_unknown_prices_are_last() -> None:
    found = quote(
        [
            instance_type("unknown", None, cpu=8),
            instance_type("dear", "9", cpu=8),
            instance_type("small", "0.1", cpu=1),
            instance_type("fits", "3", cpu=4),
            instance_type("sold out", "2", cpu=4, available=False),
            instance_type("says nothing of stock", "4", cpu=4, available=None),
            instance_type("free?", "0", cpu=8),
        ],
        Needs(cpu=4),
        disk=None,
        read_at=NOW,
    )
    assert [quoted.instance_type.id for quoted in found] == [
        "fits", "says nothing of stock", "dear", "sold out", "small", "free?", "unknown",
    ]  # fmt: skip
    assert [quoted.instance_type.id for quoted in found if not quoted.is_buyable] == ["sold out", "free?", "unknown"]
    assert not found[-1].is_buyable
    assert found[-1].hourly is None
    assert [(group, len(members)) for group, members in grouped(found)] == [
        (QuoteGroup.FITS, 3), (QuoteGroup.SOLD_OUT, 1), (QuoteGroup.TOO_SMALL, 1), (QuoteGroup.NO_PRICE, 2),
    ]  # fmt: skip


@quick
@given(st.lists(st.tuples(amounts, st.sampled_from(["CNY", "USD"])), max_size=8))
def test_quotes_are_sorted_per_currency(prices: list[tuple[Decimal, str]]) -> None:
    instance_types = [instance_type(f"s{n}", price=None, cpu=4) for n in range(len(prices))]
    priced = [replace(offered, price=Money(*price)) for offered, price in zip(instance_types, prices, strict=True)]
    found = quote(priced, Needs(), disk=None, read_at=NOW)
    currencies = [quoted.hourly.currency for quoted in found if quoted.hourly]
    assert currencies == sorted(currencies)
    for currency in set(currencies):
        amounts_in_currency = [
            quoted.hourly.amount for quoted in found if quoted.hourly and quoted.hourly.currency == currency
        ]
        assert amounts_in_currency == sorted(amounts_in_currency)


def test_a_gpu_must_have_the_memory() -> None:
    gpu = instance_type("gpu", gpu_count=1, gpu_name="T4", gpu_memory=16 * GIB)
    assert quote([gpu], Needs(gpu_count=1, gpu_memory=16 * GIB), disk=None, read_at=NOW)[0].fits
    assert not quote([gpu], Needs(gpu_count=1, gpu_memory=24 * GIB), disk=None, read_at=NOW)[0].fits
    assert not quote([gpu], Needs(gpu_count=2), disk=None, read_at=NOW)[0].fits


def test_disk_beyond_the_included_size_is_part_of_the_price() -> None:
    priced = instance_type(disk_price=cny("0.0015"))
    assert quote([priced], Needs(), disk=100 * GIB, read_at=NOW)[0].hourly == cny("0.65")
    assert quote([priced], Needs(), disk=200 * GIB + 1, read_at=NOW)[0].hourly == cny("0.8015")
    unknown = quote([instance_type()], Needs(), disk=200 * GIB, read_at=NOW)[0]
    assert not unknown.is_buyable, "the price of the disk is unknown"


@quick
@given(cap=amounts, price=amounts)
def test_a_cap_buys_whole_seconds_and_not_one_more(cap: Decimal, price: Decimal) -> None:
    bought = cap_seconds(cny(cap), cny(price))
    assert Fraction(price) * bought / 3600 <= Fraction(cap) < Fraction(price) * (bought + 1) / 3600
    assert run_seconds(cny(cap), cny(price), 60) <= 60


@quick
@given(price=amounts, seconds=st.floats(0, 1e7))
def test_costs_are_per_started_minute_and_rounded_up(price: Decimal, seconds: float) -> None:
    exact = Fraction(price) * -(-Fraction(seconds) // 60) / 60
    assert 0 <= Fraction(cost(cny(price), seconds).amount) - exact < Fraction(1, 10**6)


@quick
@given(cap=amounts, price=amounts)
def test_a_run_within_its_seconds_stays_within_its_cap_and_a_minute(cap: Decimal, price: Decimal) -> None:
    assume(cap > price / 60)
    assert cost(cny(price), cap_seconds(cny(cap), cny(price))).amount <= cap + price / 60 + Decimal("0.000001")


@pytest.mark.parametrize("price", ["0", "-1"])
def test_a_price_of_zero_or_in_another_currency_is_an_error(price: str) -> None:
    with pytest.raises(ValueError, match="buys no time"):
        cap_seconds(cny(1), cny(price))
    with pytest.raises(ValueError, match="buys no time"):
        cap_seconds(cny(1), Money(Decimal(1), "USD"))


@quick
@given(amounts)
def test_an_amount_is_stored_and_shown_in_full(amount: Decimal) -> None:
    one = cny(amount)
    assert money.read(one.text, "CNY") == one
    assert Decimal(one.exact.removeprefix("CNY ")) == amount
    assert len(one.exact.rpartition(".")[2]) >= 2


# -- offers


def test_an_offer_contains_all_terms() -> None:
    made = asked()
    assert (made.price, made.currency, made.unit, made.cap) == ("0.65", "CNY", "hour", "2.60")
    assert made.run_seconds == 4 * 3600
    assert made.expires_at == later(600)
    assert made.text_version == consent_text.VERSION
    assert made.text_hash == hashlib.sha256(made.text.encode()).hexdigest()
    terms = terms_of(made)
    assert (terms.hourly, terms.cap, terms.idle_seconds) == (cny("0.65"), cny("2.60"), 1800)
    for phrase in (
        "CNY 0.65",
        "CNY 2.60",
        "240 minutes",
        "0002",
        "cn-hangzhou",
        "12:00 UTC",
        "stopped at 2026-03-01 16:00 UTC",
        "30 minutes",
        "15 days",
    ):
        assert phrase in made.text


@pytest.mark.parametrize(
    ("zone", "until"),
    [("Asia/Shanghai", "2026-03-02 00:00 UTC+8"), ("America/St_Johns", "2026-03-01 12:30 UTC-3:30")],
)
def test_the_times_of_an_offer_are_those_of_its_reader(zone: str, until: str) -> None:
    made = asked(zone=ZoneInfo(zone))
    assert f"stopped at {until} at the latest" in made.text
    assert not re.search(r"UTC(?![+-])", made.text)


def test_an_offer_has_the_same_terms_in_both_languages() -> None:
    pairs = [value for value in vars(consent_text).values() if isinstance(value, tuple) and len(value) == 2]
    assert len(pairs) > 10
    for english, chinese in pairs:
        fields = [sorted({name for _, name, _, _ in Formatter().parse(text) if name}) for text in (english, chinese)]
        assert fields[0] == fields[1], english
    english, chinese = asked(), asked(language="zh-CN")
    assert chinese.language == "zh-CN"
    assert len(english.text.splitlines()) == len(chinese.text.splitlines())
    for phrase in ("CNY 0.65", "CNY 2.60", "240", "0002", "cn-hangzhou"):
        assert phrase in chinese.text


def test_the_texts_are_those_of_their_version() -> None:
    """After a change of a sentence, increase `VERSION` and update this hash."""
    pairs = [value for value in vars(consent_text).values() if isinstance(value, tuple) and len(value) == 2]
    words = "\n".join(text for pair in pairs for text in pair)
    assert (consent_text.VERSION, consent_text.hash_of(words)[:12]) == (3, "e18984bcbd3e")


def test_an_offer_says_what_the_cloud_cannot_do() -> None:
    plain = asked(capabilities=frozenset())
    assert plain.idle_seconds is None
    assert "of inactivity" not in plain.text
    assert "not stopped for inactivity" in plain.text
    assert "15 days" not in plain.text
    assert "has no auto-stop timer" in plain.text
    assert "has no auto-stop timer" not in asked().text


def test_an_offer_shows_the_price_of_the_disk() -> None:
    one = instance_type(disk_price=cny("0.0015"))
    priced = quote([one], Needs(), disk=200 * GIB, read_at=NOW)[0]
    made = asked(quote=priced, chosen=Chosen("paid-1", cny("2.60"), 3600, disk=200 * GIB))
    assert "Disk: 200 GiB, an additional CNY 0.15 per hour" in made.text
    assert terms_of(made).hourly == cny("0.80")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"binding": make.make_binding(state=BindingState.BLOCKED)}, NotAllowed),
        ({"one": instance_type(price=None)}, OfferChanged),
        ({"one": instance_type(available=False)}, OfferChanged),
        ({"now": 600}, OfferChanged),
        ({"chosen": Chosen("p", Money(Decimal(9), "USD"), 3600)}, BadOption),
        ({"chosen": Chosen("p", cny(9), 60)}, BadOption),
        ({"chosen": Chosen("p", cny(9), 10**7)}, BadOption),
        ({"chosen": Chosen("p", cny("0.01"), 3600)}, BadOption),
    ],
)
def test_an_invalid_offer_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        asked(**changes)


@pytest.mark.parametrize(
    ("changes", "who", "session", "at", "error"),
    [
        ({}, "bob", "5e55", 0, NoConsent),
        ({}, "ann", "another", 0, OfferChanged),
        ({}, "ann", "5e55", 600, OfferChanged),
        *(({"state": state}, "ann", "5e55", 0, OfferChanged) for state in ConsentState if state != "offered"),
    ],
)
def test_only_the_asked_session_can_accept_and_only_in_time(
    changes: dict[str, Any], who: str, session: str, at: float, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_answer(make.consent(**changes), person_id=who, session=session, now=later(at), **VALID)
    check_answer(make.consent(), person_id="ann", session="5e55", now=later(599), **VALID)
    for wrong in ({"token": ""}, {"token": "x"}, {"token": make.consent().answer_hash}, {"person_id": ""}):
        with pytest.raises(NoConsent):
            check_answer(make.consent(), **{"person_id": "ann", "session": "5e55", "now": NOW} | VALID | wrong)


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        ([], consent_rules.TYPE_NOT_OFFERED),
        ([instance_type("other")], consent_rules.TYPE_NOT_OFFERED),
        ([instance_type(price=None)], consent_rules.PRICE_UNKNOWN),
        ([instance_type(available=False)], consent_rules.TYPE_UNAVAILABLE),
        ([instance_type(price="0.650001")], consent_rules.PRICE_CHANGED),
        ([instance_type(price="0.649999")], consent_rules.PRICE_CHANGED),
        ([replace(instance_type(), price=Money(Decimal("0.65"), "USD"))], consent_rules.PRICE_CHANGED),
    ],
)
def test_a_changed_offer_is_detected(now: list[InstanceType], sentence: str) -> None:
    changed = change_since(asked(), now)
    assert changed is not None
    assert changed[0] == sentence
    assert sentence.format(**changed[1])


def test_an_unchanged_offer_is_not_reported() -> None:
    assert change_since(asked(), [instance_type(price="0.6500", available=None)]) is None
    one = instance_type(disk_price=cny("0.0015"))
    made = asked(quote=quote([one], Needs(), disk=200 * GIB, read_at=NOW)[0],
                 chosen=Chosen("p", cny("2.60"), 3600, disk=200 * GIB))  # fmt: skip
    assert change_since(made, [one]) is None
    assert change_since(made, [replace(one, disk_price=cny("0.0016"))]) is not None
    assert change_since(made, [replace(one, disk_price=None)]) is not None


def test_an_offer_for_a_stopped_instance_is_a_restart() -> None:
    stopped = make.order(state=OrderState.STOPPED)
    made = asked(order=stopped)
    assert (made.kind, made.order_id) == (ConsentKind.START, "o1")
    assert "start your stopped notebook again" in made.text


# -- bindings and names


def test_a_name_is_derived_from_its_consent_and_valid_in_every_cloud() -> None:
    names = {name_of(f"{number:016x}") for number in range(1000)}
    assert len(names) == 1000
    assert all(len(name) == NAME_LENGTH and name.isalnum() and name.isascii() and name[0].isalpha() for name in names)
    assert name_of("c1") == name_of("c1")


def test_an_external_id_cannot_be_guessed() -> None:
    assert len(binding.external_id(bytes(24))) > 32
    with pytest.raises(ValueError, match="guessed"):
        binding.external_id(b"too short")


def test_a_role_of_another_account_is_a_problem() -> None:
    link = make.make_binding()
    assert not binding.problems_of(link, Probe(link.account_id))
    ((template, words),) = binding.problems_of(link, Probe("666"))
    assert "666" in template.format(**words)


def test_which_orders_prevent_unlinking() -> None:
    from spawner.ledger.paid.rows import OVER, Block

    def prevents_unlinking(order: Order, seconds: float = 0, *, is_named: bool = True) -> bool:
        return bool(binding.in_the_way_of_unlinking([order], later(seconds), reaches=lambda *_: is_named))

    for state in OrderState:
        order = make.order(state=state)
        prevents = state not in (*OVER, OrderState.STOPPED)
        assert prevents_unlinking(order) is prevents_unlinking(order, is_named=False) is prevents
        lost = {"blocked": Block.AUTH_LOST, "blocked_at": NOW}
        for is_named, why in ((True, lost), (False, {"stop_wanted_at": NOW, "stop_wanted_by": "ann"})):
            bare = replace(order, **why)
            auto_stop_set = replace(bare, auto_stop_set_at=NOW, stops_at=later(3600))
            for found, until in ((bare, 24 * 3600), (auto_stop_set, 3600)):
                assert prevents_unlinking(found, until, is_named=is_named) is prevents
                assert not prevents_unlinking(found, until + 1, is_named=is_named), "auto-stop has ended it"


def test_an_account_without_a_role_cannot_be_used() -> None:
    with pytest.raises(NotAllowed):
        binding.account_of(make.make_binding(role=None), "cn-hangzhou")
    account = binding.account_of(make.make_binding(), "cn-hangzhou")
    assert (account.workspace, account.region) == ("40823", "cn-hangzhou")
    assert quotes.UNIT == "hour"
    assert NOW + timedelta(seconds=1) == later(1)
