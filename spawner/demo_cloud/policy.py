"""Evaluate RAM policy documents. A statement with an unknown condition does not apply."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

Context = Mapping[str, str]


class Verdict(Enum):
    """Result of evaluating a document for an action."""

    ALLOW = "Allow"
    IMPLICIT_DENY = "ImplicitDeny"
    EXPLICIT_DENY = "ExplicitDeny"


class BadPolicy(ValueError):
    """The document is not a policy."""


def parse(text: str | Mapping[str, Any]) -> dict[str, Any]:
    """Parse a document and check its main grammar. Raises `BadPolicy`."""
    try:
        document = json.loads(text) if isinstance(text, str) else dict(text)
    except ValueError as error:
        raise BadPolicy(f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("Version") != "1":
        raise BadPolicy('Version must be "1"')
    statements = document.get("Statement")
    if not isinstance(statements, list) or not statements:
        raise BadPolicy("Statement must be a list of at least one")
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise BadPolicy("Effect must be Allow or Deny")
        if not _list(statement.get("Action")):
            raise BadPolicy("Action is missing")
    return document


def evaluate(document: Mapping[str, Any], actions: Sequence[str], context: Context) -> Verdict:
    """Evaluate a permission policy for an action that may have several names. A statement for any of them applies."""
    verdict = Verdict.IMPLICIT_DENY
    for statement in document["Statement"]:
        patterns = [pattern.lower() for pattern in _list(statement["Action"])]
        is_named = any(fnmatchcase(action.lower(), pattern) for action in actions for pattern in patterns)
        if not is_named or not _conditions(statement.get("Condition", {}), context):
            continue
        if statement["Effect"] == "Deny":
            return Verdict.EXPLICIT_DENY
        verdict = Verdict.ALLOW
    return verdict


def trusts(document: Mapping[str, Any], principal: str, context: Context) -> bool:
    """Whether a trust policy lets this principal assume the role."""
    account = principal.split(":")[3]
    for statement in document["Statement"]:
        trusted = _list(statement.get("Principal", {}).get("RAM"))
        if (
            statement["Effect"] == "Allow"
            and "sts:AssumeRole" in _list(statement["Action"])
            and (principal in trusted or f"acs:ram::{account}:root" in trusted)
            and _conditions(statement.get("Condition", {}), context)
        ):
            return True
    return False


def _conditions(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    return all(
        _condition(operator, _list(expected), context.get(key))
        for operator, keys in conditions.items()
        for key, expected in keys.items()
    )


def _condition(operator: str, expected: Sequence[str], actual: str | None) -> bool:
    if actual is None:
        return False
    if operator == "StringEquals":
        return actual in expected
    if operator == "StringNotEquals":
        return actual not in expected
    if operator == "StringLike":
        return any(fnmatchcase(actual, pattern) for pattern in expected)
    if operator == "IpAddress":
        return any(ipaddress.ip_address(actual) in ipaddress.ip_network(network) for network in expected)
    return False


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [str(value)]
