"""Policies: the session policies that limit each session of a role, and the documents of the user's role.

A session without a session policy would have all rights of the role, so every session has one.
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
"""An action that Freepool does not need. It is tried when an account is linked, to warn users of a role that allows it.
"""


def session_policy(use: Use, assumed: DswAssumptions) -> str:
    """The session policy for AssumeRole: at most 2,048 characters."""
    act = (*assumed.create_actions, *assumed.delete_actions, *ACT)
    actions = {Use.READ: READ, Use.ACT: act, Use.OPEN: OPEN, Use.EXCESS: EXCESS}[use]
    return _json([_allow(list(actions))])


def trust_document(principal: str, external_id: str) -> dict[str, Any]:
    """The trust policy of the user's role."""
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
    """The permission policy of the user's role.

    `hardened` allows actions on one instance only for instances that the role created. The documentation is unclear
    on whether DSW supports that condition; where it does not, the role allows too little, and linking reports it.
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
