"""Records of people. Rows belong to `Person.id`, because JupyterHub renames and deletes users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from spawner.hub_settings import MAIN_HUB


class TrustClass(StrEnum):
    """How far a person is trusted."""

    NEW = "new"
    KNOWN = "known"
    TRUSTED = "trusted"


class GroupSource(StrEnum):
    """Who says that a person is in a group."""

    LOGIN = "login"
    """The provider, at the last login or refresh."""
    HUB = "hub"
    """JupyterHub: its administrators, `load_groups`, or an authenticator of the operator's own."""
    ADMINISTRATOR = "administrator"
    """`freepool groups USER --set`."""


@dataclass(frozen=True)
class Identity:
    """The subject of a login. `digest` is HMAC-SHA256(secret, issuer | subject), in hexadecimal digits."""

    issuer: str
    digest: str


@dataclass(frozen=True)
class HubUser:
    """A user of JupyterHub. `since` is when JupyterHub made it, as text. `hub` is the hub's name: each numbers its own.

    SQLite gives the number of a deleted user to the next one, and MySQL rounds `since` to seconds: only both together
    tell users apart.
    """

    id: int
    name: str
    since: str
    hub: str = MAIN_HUB


@dataclass(frozen=True)
class Person:
    """One person. `hub` is the hub where they log in. `hub_name` is the present or last name in its JupyterHub.

    `hub_id` is null while JupyterHub has no user for the person, and until that is known. `hub_since` is null for
    rows from before version 0.2 until the user comes. `issuer` and `identity` are null where the login has no subject.
    `forgotten_at`: when an administrator had the person forgotten; `hub_name` is a made-up one since.

    `trust` is the least class, given by an invitation or by the migration to version 0.2. `claims_held` and
    `account_since` are what the last login said, as far as settings asked; null where none has. `operator_trust` is the
    class that an administrator has set, if any.
    """

    id: str
    hub_name: str
    hub_id: int | None
    hub_since: str | None
    created_at: datetime
    issuer: str | None
    identity: str | None
    trust: TrustClass
    claims_held: list[str] | None = None
    account_since: datetime | None = None
    operator_trust: TrustClass | None = None
    operator_trust_by: str | None = None
    operator_trust_at: datetime | None = None
    forgotten_at: datetime | None = None
    hub: str = MAIN_HUB


class BanCode(StrEnum):
    """Why somebody is banned."""

    MINING = "mining"
    ATTACK = "attack"
    SPAM = "spam"
    EVASION = "evasion"
    OTHER = "other"


@dataclass(frozen=True)
class Ban:
    """One ban. `until` is null for a ban without an end.

    `evidence` and `note` are for administrators; `appeal` is shown to the person. Empty, it says: contact an
    administrator.
    """

    id: str
    person_id: str
    code: BanCode
    evidence: str
    note: str
    appeal: str
    banned_by: str
    banned_at: datetime
    until: datetime | None
    lifted_at: datetime | None = None
    lifted_by: str | None = None

    def holds(self, now: datetime) -> bool:
        """Whether the ban is in force."""
        return self.lifted_at is None and (self.until is None or self.until > now)


@dataclass(frozen=True)
class LoginFacts:
    """What a login said that settings of classes ask for. `claims_held` are keys of `trust.claim_key`."""

    claims_held: tuple[str, ...] = ()
    account_since: datetime | None = None


@dataclass(frozen=True)
class Invitation:
    """One invitation. Of its code only the hash is kept: SHA-256 in hexadecimal digits. `used_by` is a person's id."""

    id: str
    code_hash: str
    trust: TrustClass
    groups: list[str]
    note: str
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    used_by: str | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
