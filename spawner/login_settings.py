"""The section `login` of the settings: who lets people in, and whom."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from spawner.errors import SetupError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
GOOGLE = "https://accounts.google.com"
GITHUB = "https://github.com"
LONGEST_SECRET = 4096


class LoginKind(StrEnum):
    """Who says who somebody is."""

    LINKS = "links"
    GITHUB = "github"
    GOOGLE = "google"
    OIDC = "oidc"


VARIABLES = {
    LoginKind.GITHUB: ("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"),
    LoginKind.GOOGLE: ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"),
    LoginKind.OIDC: ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET"),
}
"""Variables of the hub that hold client id and secret where the settings do not."""
ADMIT = ("allow_all", "allowed_users", "allowed_groups", "allowed_domains", "admin_users", "admin_groups")
"""Settings of which one must be set, or nobody could log in."""


@dataclass(frozen=True)
class Client:
    """What the provider knows this installation by. The secret is not shown in a representation."""

    id: str
    secret: str = dataclasses.field(repr=False)


class LoginSettings(BaseModel):
    """How people log in. Nobody may who is not admitted here, and nobody is an administrator who is not named here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: LoginKind = Field(default=LoginKind.LINKS, description="links, github, google or oidc.")
    link_days: float = Field(default=7, gt=0, le=366, description="Links: days until a login link expires.")
    name: str | None = Field(
        default=None, min_length=1, max_length=60, description="The provider's name on the login page."
    )
    issuer: str | None = Field(
        default=None, description="oidc: the provider's issuer; its addresses are read from there."
    )
    server: str | None = Field(default=None, description="github: GitHub Enterprise Server's address.")
    client_id: str | None = Field(
        default=None,
        min_length=1,
        description="This installation's id at the provider. Default: GITHUB_CLIENT_ID, GOOGLE_CLIENT_ID or "
        "OAUTH_CLIENT_ID in the environment.",
    )
    client_secret_file: Path | None = Field(
        default=None,
        description="File with the client's secret, and nothing else. Default: GITHUB_CLIENT_SECRET, "
        "GOOGLE_CLIENT_SECRET or OAUTH_CLIENT_SECRET in the environment.",
    )
    scopes: tuple[str, ...] | None = Field(default=None, description="What is asked of the provider instead.")
    username_claim: str | None = Field(
        default=None,
        min_length=1,
        description="oidc: the claim that becomes the user's name. Default: preferred_username. One that people can "
        "choose themselves must not be unverified: `email` counts only with email_verified.",
    )
    groups_claim: str | None = Field(
        default=None,
        min_length=1,
        description="oidc: the claim with the user's groups, such as groups or realm_access.roles.",
    )
    allow_all: bool = Field(default=False, description="Whether every account of the provider may log in.")
    allowed_users: tuple[str, ...] = Field(default=(), description="Names of users who may log in.")
    allowed_groups: tuple[str, ...] = Field(
        default=(), description="Groups whose members may log in. GitHub: organization, or organization:team."
    )
    allowed_domains: tuple[str, ...] = Field(
        default=(),
        description="Domains whose accounts may log in. Google: of Workspace accounts (claim hd). oidc: of verified "
        "mail addresses.",
    )
    admin_users: tuple[str, ...] = Field(default=(), description="Names of users who administrate the platform.")
    admin_groups: tuple[str, ...] = Field(default=(), description="Groups whose members administrate the platform.")
    again_after_days: float = Field(
        default=7, gt=0, le=366, description="Days after which somebody must log in at the provider again."
    )
    end_provider_session: bool = Field(
        default=False, description="oidc: whether a logout here also ends the session at the provider."
    )

    @field_validator("issuer", "server")
    @classmethod
    def _is_protected(cls, value: str | None) -> str | None:
        """Plain HTTP is for a provider on this machine alone: who is in the way could be anybody."""
        if value is None:
            return None
        url = urlsplit(value)
        if url.hostname is None or url.query or url.fragment or not is_protected(value):
            raise ValueError("must be an address that begins with https://, without a query")
        return value

    @field_validator("allowed_users", "admin_users", "allowed_domains", mode="after")
    @classmethod
    def _in_lower_case(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """JupyterHub's names are in lower case, and so are domains."""
        return tuple(name.lower() for name in value)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> LoginSettings:
        if self.kind is LoginKind.LINKS:
            return self._only_for_links()
        if (self.kind is LoginKind.OIDC) != (self.issuer is not None):
            raise ValueError("issuer: oidc needs it, and no other kind has it")
        if self.server is not None and self.kind is not LoginKind.GITHUB:
            raise ValueError("server: only github has it")
        if self.kind is not LoginKind.OIDC:
            self._refuse("username_claim", "groups_claim", "end_provider_session", why="only oidc has it")
        if self.kind is LoginKind.GITHUB:
            self._refuse("allowed_domains", why="GitHub does not say which domain an account belongs to")
        if self.kind is LoginKind.GOOGLE:
            self._refuse("allowed_groups", "admin_groups", why="Google does not say an account's groups at login")
        if (self.allowed_groups or self.admin_groups) and self.kind is LoginKind.OIDC and self.groups_claim is None:
            raise ValueError("groups_claim: name the claim that holds the groups")
        if not any(getattr(self, name) for name in ADMIT):
            raise ValueError(
                "nobody could log in: name allowed_users, allowed_groups or allowed_domains, or set allow_all: true to "
                "let in every account that the provider has"
            )
        return self

    def _only_for_links(self) -> LoginSettings:
        given = [
            name
            for name, field in type(self).model_fields.items()
            if name not in ("kind", "link_days") and getattr(self, name) != field.default
        ]
        if given:
            raise ValueError(f"{', '.join(given)}: links have no provider; set kind: github, google or oidc")
        return self

    def _refuse(self, *names: str, why: str) -> None:
        for name in names:
            if getattr(self, name):
                raise ValueError(f"{name}: {why}")

    @property
    def has_provider(self) -> bool:
        """Whether somebody else than this installation says who a user is."""
        return self.kind is not LoginKind.LINKS

    @property
    def title(self) -> str:
        """The provider's name for people."""
        if self.name is not None:
            return self.name
        known = {LoginKind.GITHUB: "GitHub", LoginKind.GOOGLE: "Google"}
        return known.get(self.kind) or urlsplit(self.issuer or "").hostname or "OpenID Connect"

    @property
    def base(self) -> str:
        """Address that the provider's other addresses are found by."""
        if self.kind is LoginKind.GITHUB:
            return (self.server or GITHUB).rstrip("/")
        return self.issuer or GOOGLE

    @property
    def wants_groups(self) -> bool:
        """Whether the provider is asked for groups."""
        return self.groups_claim is not None or bool(self.allowed_groups or self.admin_groups)

    def client(self, environment: Mapping[str, str] = os.environ) -> Client:
        """Client id and secret, from the settings, a file, or the environment. Raises `SetupError`."""
        id_variable, secret_variable = VARIABLES[self.kind]
        identity = self.client_id or environment.get(id_variable, "")
        secret = self._secret_in_file() if self.client_secret_file else environment.get(secret_variable, "")
        for found, setting, variable in (
            (identity, "client_id", id_variable),
            (secret, "client_secret_file", secret_variable),
        ):
            if not found:
                raise SetupError(
                    "The login by {title} has no {setting}.",
                    next_step="Set it under login in the settings, or {variable} in the environment.",
                    title=self.title,
                    setting=setting,
                    variable=variable,
                )
        return Client(identity, secret)

    def _secret_in_file(self) -> str:
        assert self.client_secret_file is not None
        try:
            text = self.client_secret_file.read_text().strip()
        except (OSError, ValueError) as error:
            raise SetupError(
                "The login's client secret in {path} cannot be read: {why}.",
                next_step="Put the secret that the provider shows there, and nothing else.",
                path=self.client_secret_file,
                why=getattr(error, "strerror", None) or "it is not text",
            ) from None
        if not text or len(text) > LONGEST_SECRET or len(text.split()) != 1:
            raise SetupError(
                "{path} holds no client secret.",
                next_step="Put the secret that the provider shows there, and nothing else.",
                path=self.client_secret_file,
            )
        return text


def is_protected(url: str) -> bool:
    """Whether an address is https, or plain http to this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
