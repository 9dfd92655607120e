"""A short session of a person's role, from STS."""

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

OUR_OWN = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurityToken", "IncompleteSignature")
"""STS says these of the platform's key, not of the person's role."""


@dataclass(frozen=True)
class RoleSession:
    """One session. `arn` is who it is in the cloud."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)
    arn: str
    until: float

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen."""
        return (self.token, self.secret, self.key_id)


def assume(settings: DswSettings, account: Account, use: Use, *, external_id: str | None, until: float) -> RoleSession:
    """Ask STS; blocks. The external id is a parameter because the probe tries wrong ones.

    Raises `AuthLost` where the role does not let us in, else `Unavailable`, `Throttled` or `ClockSkew`.
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
    raise failed  # not from within the handler: the SDK's exception holds secrets


def _session(translator: Translator, body: Any, until: float) -> RoleSession:
    given = translator.checked(body).credentials
    if given is None or not (given.access_key_id and given.access_key_secret and given.security_token):
        raise translator.open(code="UnreadableAnswer")
    return RoleSession(
        key_id=given.access_key_id,
        secret=given.access_key_secret,
        token=given.security_token,
        arn=body.assumed_role_user.arn or "",
        until=until,
    )


def runtime(settings: DswSettings) -> Any:
    """Time limits as set."""
    return sdk.runtime(connect_seconds=settings.connect_seconds, read_seconds=settings.read_seconds)


def _blame(error: Exception) -> Exception:
    """A bad key or request of our own is our trouble, and must not look as if a person had taken their role away."""
    if isinstance(error, Expired):
        return say(base.Unavailable, code="PlatformKeyExpired")
    ours = isinstance(error, base.ProviderError) and error.code.startswith(OUR_OWN)
    if ours or isinstance(error, base.Rejected):
        return say(base.Unavailable, code=error.code, request_id=error.request_id)  # type: ignore[attr-defined]
    return error
