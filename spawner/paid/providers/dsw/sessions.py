"""Short sessions of users' roles, from STS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from alibabacloud_sts20150401 import models as sts
from alibabacloud_sts20150401.client import Client as Sts

from spawner.paid.providers import base
from spawner.paid.providers.base import Account
from spawner.paid.providers.calls import SESSION_SECONDS, Expired, Use
from spawner.paid.providers.dsw import sdk
from spawner.paid.providers.dsw.errors import Translator
from spawner.paid.providers.dsw.policies import session_policy
from spawner.paid.providers.dsw.settings import DswSettings
from spawner.paid.providers.messages import platform_key, say

PLATFORM_KEY_CODES = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurityToken", "IncompleteSignature")
"""Codes that STS returns for problems of the platform's key, not of the user's role."""


@dataclass(frozen=True)
class RoleSession:
    """A session of a role. `arn`: the assumed role."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)
    arn: str
    until: float

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values to remove from messages."""
        return (self.token, self.secret, self.key_id)


def assume(settings: DswSettings, account: Account, use: Use, *, external_id: str | None, until: float) -> RoleSession:
    """Assume the role; blocks. `external_id` is a parameter because the probe tries wrong ones.

    Raises `AuthLost` where the role refuses, else `Unavailable`, `Throttled` or `ClockSkew`.
    """
    key = platform_key(settings.key)
    secret = key.access_key_secret.get_secret_value()
    token = key.security_token.get_secret_value() if key.security_token else None
    client = Sts(
        sdk.config(
            endpoint=settings.sts,
            region=account.region,
            plain_http=settings.plain_http,
            key_id=key.access_key_id,
            secret=secret,
            token=token,
        )
    )
    request = sts.AssumeRoleRequest(
        role_arn=account.role,
        role_session_name=f"freepool-{use}",
        external_id=external_id,
        duration_seconds=SESSION_SECONDS,
        policy=session_policy(use, settings.assumptions),
    )
    translator = Translator(
        settings.assumptions, mutates=False, secrets=(secret, token or "", key.access_key_id, external_id or "")
    )
    try:
        answer = client.assume_role_with_options(request, runtime(settings))
    except Exception as error:
        failed = _blame(translator.raised(error))
    else:
        return _session(translator, answer.body, until)
    raise failed  # outside of the handler, so that the SDK's exception, which holds secrets, is not its context


def _session(translator: Translator, body: Any, until: float) -> RoleSession:
    keys = translator.checked(body).credentials
    if keys is None or not (keys.access_key_id and keys.access_key_secret and keys.security_token):
        raise translator.open(code="UnreadableAnswer")
    return RoleSession(
        key_id=keys.access_key_id,
        secret=keys.access_key_secret,
        token=keys.security_token,
        arn=body.assumed_role_user.arn or "",
        until=until,
    )


def runtime(settings: DswSettings) -> Any:
    """Timeouts from the settings."""
    return sdk.runtime(connect_seconds=settings.connect_seconds, read_seconds=settings.read_seconds)


def _blame(error: Exception) -> Exception:
    """Map errors of the platform's key or request to `Unavailable`, so that they do not count as a lost role."""
    if isinstance(error, Expired):
        return say(base.Unavailable, code="PlatformKeyExpired")
    is_ours = isinstance(error, base.ProviderError) and error.code.startswith(PLATFORM_KEY_CODES)
    if is_ours or isinstance(error, base.Rejected):
        return say(base.Unavailable, code=error.code, request_id=error.request_id)  # type: ignore[attr-defined]
    return error
