"""What providers say, in the shapes in which they say it."""

from __future__ import annotations

from typing import Any

import pytest

from spawner.hub.login.claims import Kept, find_claim, is_in_disguise, mail_domain, merge_groups, read_groups
from spawner.hub.login.crypt_keys import MOST_KEYS, read_keys, rotate
from spawner.hub.login.discovery import Discovery, read_document
from spawner.hub.login.http import ProviderFailed

ISSUER = "https://id.example.org"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/me",
}


def groups(value: Any, path: str = "groups") -> set[str]:
    return set(read_groups({"groups": value}, path).names)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gpu", {"gpu"}),
        (["a", "b", "a"], {"a", "b"}),
        ([], set()),
        ("", set()),
        (None, set()),
        (7, {"7"}),
        ([1, True], {"1"}),
        ([{"name": "x"}, {"id": 3}], {"x"}),
        ({"x": {}, "y": 1}, {"x", "y"}),
        (1.5, set()),
        (["a\nb", "a\x00", " a ", "a" * 255, "a" * 256], {"a", "a" * 255}),
        (["e\u0301"], {"é"}),
        ([f"g{number}" for number in range(300)], {f"g{number}" for number in range(300)}),
    ],
)
def test_groups(value: Any, expected: set[str]) -> None:
    assert groups(value) == expected


def test_more_groups_than_can_be_kept_are_cut_and_said() -> None:
    found = read_groups({"groups": [f"g{number:05}" for number in range(5000)]}, "groups")
    assert len(found.names) == 1000
    assert found.complaint == "4000 groups in the claim groups cannot be used"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("realm_access.roles", ["a"]),
        ("https://example.org/groups", ["b"]),
        ("realm_access.roles.x", None),
        ("realm_access.none", None),
        ("none", None),
    ],
)
def test_dots_lead_into_objects_unless_a_claim_has_that_name(path: str, expected: Any) -> None:
    assert find_claim({"realm_access": {"roles": ["a"]}, "https://example.org/groups": ["b"]}, path) == expected


def test_a_missing_claim_is_said_with_those_that_there_are() -> None:
    assert read_groups({"sub": "1", "name": "x"}, "groups").complaint == "there is no claim groups among name, sub"


@pytest.mark.parametrize(
    ("name", "expected"), [("mar\u212a", True), ("mark", False), ("İnci", False), ("Ünal 王", False)]
)
def test_a_name_that_would_become_anothers_is_known(name: str, expected: bool) -> None:
    """`mark` may be an administrator by name, before he has come."""
    assert is_in_disguise(name) is expected


def test_groups_of_the_provider_go_and_others_stay() -> None:
    assert merge_groups(frozenset("abx"), frozenset("ab"), frozenset("bc")) == frozenset("bcx")
    assert merge_groups(frozenset(), frozenset("a"), frozenset("a")) == frozenset("a"), "it was taken away here"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"email": "a@Example.org", "email_verified": True}, "example.org"),
        ({"email": "a@example.org"}, None),
        ({"email": "a@example.org", "email_verified": "true"}, None),
        ({"email": "a@evil.org@example.org", "email_verified": True}, "example.org"),
        ({"email": 7, "email_verified": True}, None),
        ({"email": "example.org@", "email_verified": True}, None),
    ],
)
def test_only_a_verified_mail_address_has_a_domain(claims: dict[str, Any], expected: str | None) -> None:
    assert mail_domain(claims) == expected


@pytest.mark.parametrize("state", [None, {}, {"freepool": 7}, {"freepool": {"issuer": "x"}}])
def test_what_is_not_whole_was_not_kept(state: Any) -> None:
    assert Kept.read(state) is None


def test_an_account_is_its_issuer_and_its_subject() -> None:
    kept = Kept(ISSUER, "1", ("a",), 5.0)
    assert Kept.read({"freepool": kept.as_dict()}) == kept
    assert kept.is_same_account(Kept(ISSUER, "1", (), 9.0))
    assert not kept.is_same_account(Kept("https://other.example.org", "1", ("a",), 5.0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": "https://evil.example.org"}, "names another issuer"),
        ({"token_endpoint": "http://id.example.org/token"}, "no usable token_endpoint"),
        ({"userinfo_endpoint": None}, "no usable userinfo_endpoint"),
    ],
)
def test_a_document_that_is_not_the_issuers_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ProviderFailed, match=said):
        read_document(DOCUMENT | change, ISSUER)


@pytest.mark.parametrize("document", [[], "x", None, {}])
def test_rubbish_is_no_document(document: Any) -> None:
    with pytest.raises(ProviderFailed):
        read_document(document, ISSUER)


async def test_addresses_hold_while_they_cannot_be_read_again() -> None:
    answers: list[Any] = [DOCUMENT, ProviderFailed("away")]

    async def get_json(url: str) -> Any:
        assert url == f"{ISSUER}/.well-known/openid-configuration"
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    discovery = Discovery(ISSUER, get_json)
    first = await discovery.endpoints()
    discovery._read_at -= 4000
    assert await discovery.endpoints() == first
    assert await discovery.endpoints() == first
    assert answers == []


def test_keys_are_one_a_line_and_only_some_are_kept() -> None:
    text = "a" * 64
    for _ in range(8):
        text = rotate(text)
    keys = read_keys(text)
    assert len(set(keys)) == len(keys) == MOST_KEYS
    assert "a" * 64 not in keys
    for wrong in ("", "short", "g" * 64):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            read_keys(wrong)
