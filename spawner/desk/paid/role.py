"""The role that a user creates in their cloud account: its two policy documents, explained, and a one-click link."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from spawner.ledger.paid.rows import Binding
from spawner.paid.providers.dsw.policies import permission_document, trust_document
from spawner.paid.providers.dsw.settings import DswSettings

MAX_SESSION_SECONDS = 3600
POLICY = "freepool"
EXTERNAL_ID = {"Ref": "ExternalId"}
TRUST_WORDS = {
    "RAM": "Only Freepool's own identity can use this role.",
    "ExternalId": (
        "Freepool must also present this external ID, generated only for you. This prevents others from "
        "using your role through Freepool."
    ),
    "AssumeRole": "Freepool receives temporary credentials that expire within an hour, never your password or keys.",
}
PERMISSION_WORDS = (
    "Create a notebook. This incurs charges and happens only after you approve the price.",
    "View, start, stop, open, and delete notebooks, and set their auto-stop timers.",
    "Read prices and list running notebooks, so that none is overlooked.",
    (
        "Never change users, keys, or permissions, and never buy prepaid resources, even if the role is "
        "given more permissions."
    ),
)


@dataclass(frozen=True)
class Part:
    """Some lines of a document, and a sentence that explains them to the user."""

    lines: str
    meaning: str


@dataclass(frozen=True)
class Document:
    """A policy document, as the user pastes it in the cloud's console."""

    text: str
    parts: Sequence[Part]


class RoleGuide:
    """The content of the page about the role. The cloud fetches the template from `template_url`."""

    def __init__(self, settings: DswSettings, *, template_url: str) -> None:
        self._settings, self._template_url = settings, template_url

    def name(self, binding: Binding) -> str:
        """The name of the role. Each binding has its own, so it never collides with the role of an earlier one."""
        return f"freepool-{binding.id[:8]}"

    def arn(self, binding: Binding, name: str) -> str:
        """The role's resource name."""
        return f"acs:ram::{binding.account_id}:role/{name}"

    def link(self, binding: Binding) -> str:
        """URL of the cloud's console with the template and its parameters filled in."""
        parameters = {"RoleName": self.name(binding), "ExternalId": binding.external_id}
        return self._settings.assumptions.role_link.format(
            region=next(iter(self._settings.regions)),
            template_url=quote(self._template_url, safe=""),
            parameters=quote(json.dumps(parameters), safe=""),
        )

    def trust(self, binding: Binding) -> Document:
        """The trust policy."""
        document = trust_document(self._settings.principal, binding.external_id)
        statement = document["Statement"][0]
        return Document(
            _shown(document),
            (
                Part(_shown(statement["Principal"]), TRUST_WORDS["RAM"]),
                Part(_shown(statement["Condition"]["StringEquals"]), TRUST_WORDS["ExternalId"]),
                Part(_shown({"Action": statement["Action"]}), TRUST_WORDS["AssumeRole"]),
            ),
        )

    def permissions(self) -> Document:
        """The permission policy."""
        document = permission_document(self._settings.assumptions)
        statements = document["Statement"]
        return Document(
            _shown(document),
            tuple(
                Part("\n".join(statement["Action"]), meaning)
                for statement, meaning in zip(statements, PERMISSION_WORDS, strict=True)
            ),
        )

    def console(self, binding_account: str, region: str) -> str:
        """URL of the account's list of instances in the cloud's console."""
        return _filled(
            self._settings.assumptions.console_link, binding_account, region or next(iter(self._settings.regions))
        )

    def bill(self, binding_account: str) -> str:
        """URL of the cloud's bill."""
        return _filled(self._settings.assumptions.bill_link, binding_account, "")

    def template(self) -> dict[str, Any]:
        """The template for the cloud's orchestration service. It is the same for all users."""
        trust = trust_document(self._settings.principal, "")
        trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"] = EXTERNAL_ID
        policy = {"PolicyName": POLICY, "PolicyDocument": permission_document(self._settings.assumptions)}
        return {
            "ROSTemplateFormatVersion": "2015-09-01",
            "Description": "The role with which Freepool makes notebooks in this account after its owner's yes.",
            "Parameters": {
                "RoleName": {"Type": "String", "Default": "freepool"},
                "ExternalId": {"Type": "String", "MinLength": 16, "NoEcho": False},
            },
            "Resources": {
                "Role": {
                    "Type": "ALIYUN::RAM::Role",
                    "Properties": {
                        "RoleName": {"Ref": "RoleName"},
                        "MaxSessionDuration": MAX_SESSION_SECONDS,
                        "AssumeRolePolicyDocument": trust,
                        "Policies": [policy],
                    },
                }
            },
            "Outputs": {"RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
        }


def _shown(value: object) -> str:
    return json.dumps(value, indent=2)


def _filled(link: str, account: str, region: str) -> str:
    return link.format(account=quote(account, safe=""), region=quote(region, safe=""))
