"""Four checks against confused deputies, for every cloud whose roles support external ids.

A role that can be assumed without the right external id is refused: any user who knows its name could use it here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from spawner.paid.providers.base import Account, AuthLost, Probe, Rejected
from spawner.paid.providers.messages import say

Sentence = tuple[str, Mapping[str, str]]

NOT_IN = "The role {role} does not let Freepool in: {said}"
OTHER_ACCOUNT = "The role belongs to account {actual}, not to {expected}, which you confirmed as yours."
TOO_OPEN_WITHOUT = (
    "The role's trust policy is too open: it accepts Freepool without an external ID, so anyone who "
    "knows the role's name could use it through Freepool."
)
TOO_OPEN_WRONG = (
    "The role's trust policy is too open: it accepts Freepool with a wrong external ID, so anyone "
    "who knows the role's name could use it through Freepool."
)
CANNOT_READ = "The role does not allow {action}. Freepool needs it to read prices and running notebooks."
TOO_MUCH = "The role also allows {action}. Freepool does not need or use it; we recommend removing it."

NOT_SOLVENT = "The cloud reports that this account cannot pay for a notebook right now. Check its balance."
NO_WORKSPACE = "The account has no PAI workspace yet. Open the PAI console and create one."


class AssumedSession(Protocol):
    """A session with the ARN that STS returned for it."""

    @property
    def arn(self) -> str: ...


S = TypeVar("S", bound=AssumedSession)


def check(account: Account, assume: Callable[[str | None], S], identity: Callable[[S], str]) -> S | Probe:
    """A session of the role, or a probe with the problem that prevents using it.

    `assume` takes the external id to try; `identity` returns the account that a session is in.
    """
    account_of_role = account_in(account.role)
    if account_of_role != account.account_id:
        return refused(account_of_role, OTHER_ACCOUNT, actual=account_of_role or "?", expected=account.account_id)
    if not account.external_id:
        raise say(Rejected, code="NoExternalId")
    try:
        session = assume(account.external_id)
    except AuthLost as error:
        return refused(account.account_id, NOT_IN, role=account.role, said=error.code or "?")
    for template, external_id in ((TOO_OPEN_WITHOUT, None), (TOO_OPEN_WRONG, f"wrong-{secrets.token_hex(16)}")):
        if _can_assume(assume, external_id):
            return refused(account.account_id, template)
    actual = identity(session)
    if not account.account_id == actual == account_in(session.arn):
        return refused(actual, OTHER_ACCOUNT, actual=actual or "?", expected=account.account_id)
    return session


def refused(account_id: str, template: str, **params: str) -> Probe:
    """A probe with one problem."""
    return Probe(account_id, ((template, params),))


def account_in(arn: str) -> str:
    """The account id in an ARN of Alibaba Cloud or AWS: the last part but one. Empty where there is none."""
    parts = arn.split(":")
    return parts[-2] if len(parts) > 3 else ""


def _can_assume(assume: Callable[[str | None], S], external_id: str | None) -> bool:
    try:
        assume(external_id)
    except AuthLost:
        return False
    return True
