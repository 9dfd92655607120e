"""Customers' accounts with their roles and workspaces, access keys, and sessions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spawner.demo_cloud import policy
from spawner.demo_cloud.errors import ApiError


@dataclass
class Role:
    """A RAM role: trust policy and permission policy."""

    arn: str
    trust: Mapping[str, Any]
    permissions: Mapping[str, Any]
    max_session: int = 3600

    @property
    def name(self) -> str:
        """The name without the account."""
        return self.arn.split("/", 1)[1]


@dataclass
class Account:
    """One customer. `workspaces`: id to name; the first is the default. `sees_own`: whether listings by its roles
    contain the instances that they created. ASSUMED: a workspace's permissions may hide them."""

    id: str
    name: str
    workspaces: dict[str, str]
    sufficient: bool = True
    activated: bool = True
    sees_own: bool = True
    roles: dict[str, Role] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The account itself: creator of instances that are created in the console."""
        return f"acs:ram::{self.id}:root"


@dataclass(frozen=True)
class Session:
    """A session of a role, from AssumeRole."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    role: str
    name: str
    account: str
    policy: Mapping[str, Any] | None
    expires: datetime

    @property
    def arn(self) -> str:
        """As GetCallerIdentity returns it."""
        return f"{self.role}/{self.name}"


@dataclass(frozen=True)
class Caller:
    """The signer of a request: a RAM user, or a session of a role."""

    arn: str
    account: str
    session: Session | None = None

    @property
    def creator(self) -> str:
        """Creator of instances that the caller creates. ASSUMED: for a session, its role."""
        return self.session.role if self.session else self.arn


@dataclass(frozen=True)
class AccessKey:
    """A RAM user's long-lived key."""

    id: str
    secret: str = field(repr=False)
    arn: str


class Directory:
    """All accounts of this cloud."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, AccessKey] = {}
        self.sessions: dict[str, Session] = {}

    def add(self, account_id: str, name: str, workspaces: Mapping[str, str] | None = None) -> Account:
        """Add a customer, by default with one workspace."""
        account = Account(account_id, name, dict(workspaces or {f"{account_id[-4:]}1": "default"}))
        self.accounts[account_id] = account
        return account

    def account(self, account_id: str) -> Account:
        """The account with this id. Raises `ApiError` if there is none."""
        try:
            return self.accounts[account_id]
        except KeyError:
            raise ApiError(404, "EntityNotExist.Account", f"There is no account {account_id}.") from None

    def add_key(self, arn: str, *, key_id: str | None = None, secret: str | None = None) -> AccessKey:
        """Add an access key for a RAM user."""
        key = AccessKey(key_id or f"LTAI5t{secrets.token_hex(8)}", secret or secrets.token_hex(15), arn)
        self.keys[key.id] = key
        return key

    def put_role(self, account_id: str, name: str, trust: Any, permissions: Any, max_session: int = 3600) -> Role:
        """Add or replace a role. Raises `BadPolicy`."""
        account = self.account(account_id)
        arn = f"acs:ram::{account_id}:role/{name}"
        role = Role(arn, policy.parse(trust), policy.parse(permissions), max_session)
        account.roles[arn] = role
        return role

    def drop_role(self, arn: str) -> None:
        """Delete a role. Its sessions lose their rights at once."""
        for account in self.accounts.values():
            account.roles.pop(arn, None)

    def role(self, arn: str) -> Role | None:
        """The role with this ARN, in any account."""
        return next((account.roles[arn] for account in self.accounts.values() if arn in account.roles), None)
