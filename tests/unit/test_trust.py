"""Classes of users: decided from a row, the settings and the time alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from spawner.client_address import client_address
from spawner.desk.i18n import load_translations
from spawner.desk.user.class_view import view_of_class
from spawner.hub.invitations import GuessLimit
from spawner.hub.newcomers import counted_network, facts_of, network_digest, read_time
from spawner.ledger.people.rows import LoginFacts, Person, TrustClass
from spawner.ledger.people.trust import Reason, class_of, limits_of, standing_of
from spawner.people_settings import PeopleSettings

NEW, KNOWN, TRUSTED = TrustClass
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RULES = PeopleSettings.model_validate(
    {
        "known": [{"days": 7, "claims": {"email_verified": True}}, {"account_days": 365}],
        "trusted": [{"claims": {"acr": ["silver", "gold"]}, "days": 30}],
        "limits": {"new": {"session_minutes": 30, "instances": 1}, "known": {"session_minutes": 120}},
    }
)


def person(days: float = 0, **more: Any) -> Person:
    """Somebody who first came so many days ago."""
    return Person("p1", "ann", 1, "", NOW - timedelta(days=days), None, None, more.pop("trust", NEW), **more)


@pytest.mark.parametrize(
    ("who", "trust", "reason"),
    [
        (person(), NEW, Reason.NONE),
        (person(days=1000), NEW, Reason.NONE),
        (person(days=7, claims_held=["email_verified=true"]), KNOWN, Reason.RULE),
        (person(days=6.9, claims_held=["email_verified=true"]), NEW, Reason.NONE),
        (person(days=7, claims_held=["email_verified=false"]), NEW, Reason.NONE),
        (person(account_since=NOW - 365 * DAY), KNOWN, Reason.RULE),
        (person(account_since=NOW - 364 * DAY), NEW, Reason.NONE),
        (person(account_since=NOW + 9 * DAY), NEW, Reason.NONE),
        (person(days=30, claims_held=['acr="gold"']), TRUSTED, Reason.RULE),
        (person(days=30, claims_held=['acr="bronze"']), NEW, Reason.NONE),
        (person(trust=KNOWN), KNOWN, Reason.GIVEN),
        (person(trust=KNOWN, days=30, claims_held=['acr="gold"']), TRUSTED, Reason.RULE),
        (person(trust=TRUSTED, days=7, claims_held=["email_verified=true"]), TRUSTED, Reason.GIVEN),
        (person(trust=TRUSTED, operator_trust=NEW), NEW, Reason.OPERATOR),
        (person(operator_trust=TRUSTED), TRUSTED, Reason.OPERATOR),
    ],
)
def test_an_operators_word_wins_else_the_highest_class_that_was_given_or_a_rule_allows(
    who: Person, trust: TrustClass, reason: Reason
) -> None:
    standing = standing_of(who, NOW, RULES)
    assert (standing.trust, standing.reason) == (trust, reason)
    assert class_of(who, NOW, RULES) is trust


def test_without_settings_everybody_is_what_they_were_given() -> None:
    nothing = PeopleSettings()
    assert class_of(person(days=3000), NOW, nothing) is NEW
    assert limits_of(person(), NOW, nothing).session_minutes is None
    assert not nothing.shows_classes


def test_what_time_alone_will_bring_is_foretold() -> None:
    soon = standing_of(person(days=3, claims_held=["email_verified=true", 'acr="gold"']), NOW, RULES)
    assert (soon.rises_to, soon.rises_at) == (KNOWN, NOW + 4 * DAY)
    later = standing_of(person(days=8, claims_held=["email_verified=true", 'acr="gold"']), NOW, RULES)
    assert (later.rises_to, later.rises_at) == (TRUSTED, NOW + 22 * DAY)
    assert standing_of(person(), NOW, RULES).rises_at is None, "a claim is missing, and time does not bring it"
    assert standing_of(person(operator_trust=NEW, days=7), NOW, RULES).rises_at is None


def test_limits_are_those_of_the_class_and_of_the_lowest_for_who_is_not_known() -> None:
    assert limits_of(person(), NOW, RULES).session_minutes == 30
    assert limits_of(person(trust=KNOWN), NOW, RULES).session_minutes == 120
    assert limits_of(person(trust=TRUSTED), NOW, RULES).session_minutes is None
    assert limits_of(None, NOW, RULES).session_minutes == 30


def test_the_desk_says_it_in_words_of_both_languages() -> None:
    texts = load_translations()
    who = person(days=3, claims_held=["email_verified=true"])
    standing, limits = standing_of(who, NOW, RULES), limits_of(who, NOW, RULES)
    assert view_of_class(standing, limits, at_most=3, texts=texts["en"]).text == (
        "Your account level is “new”. Your notebooks stop after 30 minutes at most. "
        "You can run one notebook at a time. It rises to “known” on 2026-03-05 12:00 UTC."
    )
    chinese = view_of_class(standing, limits, at_most=1, texts=texts["zh-CN"]).text
    assert chinese == "你的账号级别为“新用户”。你的 Notebook 最长运行 30 分钟。2026-03-05 12:00 UTC 起升级为“已知”。"


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"known": [{}]}, "an empty rule would let everybody in"),
        ({"known": [{"days": 0}]}, "greater than 0"),
        ({"known": [{"claims": {"acr": []}}]}, "at least 1 item"),
        ({"known": [{"claims": {"acr": 1.5}}]}, "known.0.claims.acr"),
        ({"known": [{"day": 3}]}, "known.0.day"),
        ({"limits": {"newcomer": {}}}, "limits.newcomer"),
        ({"limits": {"new": {"instances": 0}}}, "greater than or equal to 1"),
        ({"invitation_only": True, "new_per_day": 5}, "do nothing with invitation_only"),
        ({"new_per_day": 5, "new_per_network_per_day": 6}, "new_per_network_per_day is above new_per_day"),
        ({"new_per_day": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_are_wrong_or_would_do_nothing_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PeopleSettings.model_validate(settings)
    assert said in str(refused.value)


# --- what a login says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "held"),
    [
        ({"email_verified": True}, ("email_verified=true",)),
        ({"email_verified": "true"}, ()),
        ({"email_verified": 1}, ()),
        ({"acr": "gold", "email_verified": False}, ('acr="gold"',)),
        ({"acr": ["x", "gold", "silver"]}, ('acr="gold"', 'acr="silver"')),
        ({"acr": {"gold": True}}, ()),
        ({}, ()),
    ],
)
def test_only_what_the_settings_ask_for_is_kept_of_the_claims(claims: dict[str, Any], held: tuple[str, ...]) -> None:
    assert facts_of({**claims, "sub": "secret"}, RULES) == LoginFacts(held, None)


@pytest.mark.parametrize(
    ("claim", "time"),
    [
        ("2019-05-04T03:02:01Z", datetime(2019, 5, 4, 3, 2, 1, tzinfo=UTC)),
        (1556938921, datetime(2019, 5, 4, 3, 2, 1, tzinfo=UTC)),
        ("2019-05-04T03:02:01", None),
        ("yesterday", None),
        (True, None),
        (10**20, None),
        (["2019-05-04T03:02:01Z"], None),
        (None, None),
    ],
)
def test_the_time_at_which_an_account_was_made_is_read_with_care(claim: object, time: datetime | None) -> None:
    assert read_time(claim) == time
    assert facts_of({"created_at": claim}, RULES).account_since == time


# --- where somebody comes from ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ("192.0.2.1", 0, "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", 0, "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, 10.0.0.1", 1, "192.0.2.1"),
        ("10.0.0.1", 1, "10.0.0.1"),
        ("6.6.6.6, rubbish, 10.0.0.1", 1, "10.0.0.1"),
        ("::ffff:192.0.2.1", 0, "192.0.2.1"),
        ("[2001:DB8::1]:443", 0, "2001:db8::1"),
        (None, 0, "0.0.0.0"),
    ],
)
def test_an_address_is_what_proxies_wrote_and_not_what_a_client_invents(
    forwarded: str | None, proxies: int, address: str
) -> None:
    assert client_address("0.0.0.0", forwarded, proxies) == address


# --- networks and guesses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2345::1", "2001:db8:1:2300::/56"),
        ("", "unknown"),
        ("rubbish", "unknown"),
    ],
)
def test_a_network_is_what_one_household_or_small_provider_has(address: str, network: str) -> None:
    assert counted_network(address) == network


def test_what_is_kept_of_a_network_names_no_address_and_differs_by_day_and_secret() -> None:
    digests = [
        network_digest("secret", "192.0.2.77", NOW),
        network_digest("secret", "192.0.2.77", NOW + DAY),
        network_digest("other", "192.0.2.77", NOW),
        network_digest("secret", "192.0.3.77", NOW),
    ]
    assert len(set(digests)) == 4
    assert network_digest("secret", "192.0.2.1", NOW) == digests[0]
    assert "192" not in {digest[:3] for digest in digests}


def test_guesses_of_one_address_are_limited_and_others_are_not_hurt() -> None:
    time = [0.0]
    limit = GuessLimit(most=3, seconds=60, clock=lambda: time[0])
    for _ in range(3):
        assert limit.wait("2001:db8::1") == 0
        limit.note("2001:db8::1")
    time[0] = 20
    assert limit.wait("2001:db8::2") == 40, "one customer's network"
    assert limit.wait("2001:db8:0:1::1") == 0
    assert limit.wait("192.0.2.1") == 0
    time[0] = 60
    assert limit.wait("2001:db8::1") == 0
    limit.note("2001:db8::1")
    assert limit.wait("2001:db8::1") == 0


def test_addresses_that_guess_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.hub.invitations.MOST_ADDRESSES", 5)
    limit = GuessLimit(most=1, seconds=60, clock=lambda: 0.0)
    for number in range(50):
        limit.note(f"192.0.2.{number}")
    assert len(limit._guesses) == 5
    assert limit.wait("192.0.2.49") == 60


def test_a_row_of_before_has_nothing_of_a_login() -> None:
    assert replace(person(), claims_held=None) == person()
