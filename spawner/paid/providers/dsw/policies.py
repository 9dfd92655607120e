"""What Freepool may do with a role in one session: less than the role, whatever the role is. And what to grant it.

A session without a policy of its own would have all of the role's rights, so there is no way to ask for one.
"""

from __future__ import annotations

import json
from typing import Any

from spawner.paid.providers.calls import Use
from spawner.paid.providers.dsw.assumptions import DswAssumptions

READ = (
    "paidsw:GetInstance",
    "paidsw:ListInstances",
    "paidsw:ListEcsSpecs",
    "paidsw:GetUserConfig",
    "paidsw:GetInstanceEvents",
    "paidsw:GetInstanceShutdownTimer",
    "paidsw:GetIdleInstanceCuller",
    "paiworkspace:ListWorkspaces",
)
ACT = (
    "paidsw:StartInstance",
    "paidsw:StopInstance",
    "paidsw:CreateInstanceShutdownTimer",
    "paidsw:DeleteInstanceShutdownTimer",
    "paidsw:CreateIdleInstanceCuller",
    "paidsw:DeleteIdleInstanceCuller",
)
OPEN = ("paidsw:GetInstance", "paidsw:GetToken", "paidsw:OpenInstance")
EXCESS = ("ram:ListUsers",)
"""A right that no notebook needs: tried once, when an account is linked, to tell its owner of a role that has it."""


def session_policy(use: Use, assumed: DswAssumptions) -> str:
    """The document that AssumeRole takes: at most 2,048 characters."""
    act = (*assumed.create_actions, *assumed.delete_actions, *ACT)
    actions = {Use.READ: READ, Use.ACT: act, Use.OPEN: OPEN, Use.EXCESS: EXCESS}[use]
    return _json([_allow(list(actions))])


def trust_document(principal: str, external_id: str) -> dict[str, Any]:
    """Whom the person's role is to trust, and on what condition."""
    return {
        "Version": "1",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"RAM": [principal]},
                "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
            }
        ],
    }


def permission_document(assumed: DswAssumptions, *, hardened: bool = False) -> dict[str, Any]:
    """What the person's role is to be allowed.

    `hardened` limits what changes things to instances that the role itself made. Documents disagree on whether DSW
    knows that condition; where it does not, nothing is allowed, and linking says so.
    """
    own: dict[str, Any] = {"Condition": {"StringEquals": {"pai:EntityAccessType": "CREATOR"}}} if hardened else {}
    shared = [action for action in READ if "List" in action or action == "paidsw:GetUserConfig"]
    on_own = [
        *(a for a in READ if a not in shared),
        *ACT,
        *assumed.delete_actions,
        "paidsw:GetToken",
        "paidsw:OpenInstance",
    ]
    return {
        "Version": "1",
        "Statement": [
            _allow(list(assumed.create_actions)),
            {**_allow(on_own), **own},
            _allow(shared),
            {"Effect": "Deny", "Action": ["ram:*", "sts:*", "paidsw:CreatePrePaidInstance"], "Resource": "*"},
        ],
    }


def _allow(actions: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": "*"}


def _json(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "1", "Statement": statements}, separators=(",", ":"))
