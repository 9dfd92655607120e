"""Policy documents: what allows, what denies, and what is no policy."""

from __future__ import annotations

from typing import Any

import pytest

from spawner.demo_cloud.policy import BadPolicy, Verdict, evaluate, parse, trusts

US = "acs:ram::1:user/freepool"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """A document of these."""
    return parse({"Version": "1", "Statement": list(statements)})


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    """One statement."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def test_nothing_is_allowed_that_is_not_named() -> None:
    """Whole names or wildcards, in any case of letters; a deny beats every allow."""
    some = document(allow("paidsw:Get*", "PaiDSW:StopInstance"))
    assert evaluate(some, ["paidsw:GetInstance"], {}) is Verdict.ALLOW
    assert evaluate(some, ["paidsw:StopInstance"], {}) is Verdict.ALLOW
    assert evaluate(some, ["paidsw:DeleteInstance"], {}) is Verdict.IMPLICIT_DENY
    denied = document(allow("*"), {"Effect": "Deny", "Action": "ram:*"})
    assert evaluate(denied, ["ram:ListUsers"], {}) is Verdict.EXPLICIT_DENY
    assert evaluate(denied, ["paidsw:GetInstance"], {}) is Verdict.ALLOW


@pytest.mark.parametrize(
    ("condition", "context", "allowed"),
    [
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "b"}, False),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringNotEquals": {"k": "a"}}, {"k": "b"}, True),
        ({"StringLike": {"k": "a*"}}, {"k": "abc"}, True),
        ({"IpAddress": {"k": "198.51.100.0/24"}}, {"k": "198.51.100.7"}, True),
        ({"IpAddress": {"k": "198.51.100.0/24"}}, {"k": "203.0.113.7"}, False),
        ({"SomethingNew": {"k": "a"}}, {"k": "a"}, False),
    ],
)
def test_conditions_hold_or_nothing_does(condition: dict[str, Any], context: dict[str, str], allowed: bool) -> None:
    """One that nobody knows never holds."""
    verdict = evaluate(document(allow("x:Y", Condition=condition)), ["x:Y"], context)
    assert (verdict is Verdict.ALLOW) is allowed


def test_trust_needs_principal_and_external_id() -> None:
    """An account as principal means everybody in it."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": [US]}}
    conditioned = {**statement, "Condition": {"StringEquals": {"sts:ExternalId": "e1"}}}
    assert trusts(document(conditioned), US, {"sts:ExternalId": "e1"})
    assert not trusts(document(conditioned), US, {"sts:ExternalId": "e2"})
    assert not trusts(document(conditioned), US, {})
    assert trusts(document(statement), US, {})
    assert not trusts(document(statement), "acs:ram::1:user/other", {})
    assert trusts(document({**statement, "Principal": {"RAM": ["acs:ram::1:root"]}}), US, {})


@pytest.mark.parametrize(
    "bad",
    ["", "{", "[]", '{"Version": "2"}', '{"Version": "1", "Statement": []}', '{"Version": "1", "Statement": [{}]}'],
)
def test_what_is_no_policy_is_refused(bad: str) -> None:
    """With words, before anything is made of it."""
    with pytest.raises(BadPolicy):
        parse(bad)
