"""The section `channels` of the settings: how users are reached who have no page open."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from spawner.errors import SetupError

ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?)+"
)
"""A mail address of ASCII letters without comments and quotes, as HTML's `type=email` takes it."""
PASSWORD_NAME = "smtp-password"  # noqa: S105
"""The secret that holds the mail server's password where `password_file` is not set."""


class MailSecurity(StrEnum):
    """How the connection to the mail server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


PORTS = {MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465, MailSecurity.NONE: 25}


class MailServer(BaseModel):
    """The SMTP server that takes the platform's mail."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1, max_length=253)
    port: int | None = Field(default=None, ge=1, le=65535, description="Default: 587; tls: 465; none: 25.")
    security: MailSecurity = Field(
        default=MailSecurity.STARTTLS,
        description="starttls, tls, or none: unencrypted, for a server on this machine only.",
    )
    user: str | None = Field(default=None, min_length=1, max_length=255, description="Unset: no login.")
    password_file: Path | None = Field(
        default=None, description="File with the password, and nothing else. Default: the secret `smtp-password`."
    )
    sender: str = Field(description="Address in the field From.")
    sender_name: str = Field(default="Freepool", max_length=100, description="Name in the field From.")
    reply_to: str | None = Field(default=None, description="Address in the field Reply-To.")
    connections: int = Field(default=2, ge=1, le=20, description="Connections to the server at once.")

    @field_validator("sender", "reply_to")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not is_mail_address(value):
            raise ValueError("must be a mail address, such as freepool@example.org")
        return value

    @field_validator("sender_name")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("must be one line of text")
        return value

    @model_validator(mode="after")
    def _is_protected(self) -> MailServer:
        if self.security is MailSecurity.NONE and not is_loopback(self.host):
            raise ValueError(
                "security: none sends mail and password unencrypted, so it is for a server on this machine only "
                "(host: 127.0.0.1): use starttls or tls"
            )
        return self

    @property
    def actual_port(self) -> int:
        """The port, as set or by `security`."""
        return self.port or PORTS[self.security]

    def password(self, secrets: Path) -> str | None:
        """The password; None where there is no login. `secrets` is the folder of secrets. Raises `SetupError`."""
        if self.user is None:
            return None
        path = self.password_file or secrets / PASSWORD_NAME
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(
                "The mail server's password in {path} cannot be read: {why}.",
                next_step="Write it there (mode 0600), or name its file in channels.mail.password_file.",
                path=path,
                why=getattr(error, "strerror", None) or error,
            ) from None


class ChannelSettings(BaseModel):
    """What users may choose as their own channel. Nothing is offered where nothing is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mail: MailServer | None = Field(default=None, description="The mail server; unset: no mail.")
    webhooks: bool = Field(default=False, description="Whether users may give an HTTPS address of their own.")
    webhook_hosts: tuple[str, ...] = Field(
        default=(),
        max_length=1000,
        description="The only hosts of webhooks: hooks.example.org, or *.example.org for all below it. Empty: any.",
    )
    private_addresses: bool = Field(
        default=False,
        description="Whether webhooks may lead to private addresses: users can then reach servers of your own network "
        "through the steward.",
    )
    ca_file: Path | None = Field(
        default=None, description="Certificates of authorities that are trusted beside the system's, as PEM."
    )

    @field_validator("webhook_hosts")
    @classmethod
    def _are_hosts(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for one in given:
            if not re.fullmatch(r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", one):
                raise ValueError(f"{one!r} is not a host: use hooks.example.org or *.example.org")
        return tuple(one.lower() for one in given)

    @model_validator(mode="after")
    def _does_something(self) -> ChannelSettings:
        if not self.webhooks and (self.webhook_hosts or self.private_addresses):
            raise ValueError("webhook_hosts and private_addresses do nothing without webhooks: true")
        return self

    @property
    def is_on(self) -> bool:
        """Whether users are offered any channel."""
        return self.mail is not None or self.webhooks

    def allows_host(self, host: str) -> bool:
        """Whether a webhook may have this host, in lower case."""
        return not self.webhook_hosts or any(
            host.endswith(one[1:]) if one.startswith("*.") else host == one for one in self.webhook_hosts
        )


def is_mail_address(text: str) -> bool:
    """Whether mail can be sent to this text as one address, without a line break or a second address in it."""
    return len(text) <= 254 and ADDRESS.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
