"""Short sessions of users' AWS roles, and their clients."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.config import Config

from spawner.paid.providers import base
from spawner.paid.providers.base import Account
from spawner.paid.providers.calls import SESSION_SECONDS, Expired, Use
from spawner.paid.providers.messages import platform_key, say
from spawner.paid.providers.sagemaker.errors import translate
from spawner.paid.providers.sagemaker.settings import SageMakerSettings

READ = ("sagemaker:ListNotebookInstances", "sagemaker:DescribeNotebookInstance", "sagemaker:ListTags")
ACT = (
    "sagemaker:CreateNotebookInstance",
    "sagemaker:StartNotebookInstance",
    "sagemaker:StopNotebookInstance",
    "sagemaker:DeleteNotebookInstance",
    "sagemaker:AddTags",
    "iam:PassRole",
)
OPEN = ("sagemaker:CreatePresignedNotebookInstanceUrl",)
EXCESS = ("iam:ListUsers",)
ACTIONS = {Use.READ: READ, Use.ACT: ACT, Use.OPEN: OPEN, Use.EXCESS: EXCESS}
PLATFORM_KEY_CODES = ("InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch")
"""Codes that STS returns for problems of the platform's key, not of the user's role."""


@dataclass(frozen=True)
class RoleSession:
    """A session of a role. `sagemaker` is a boto3 client, which is thread-safe."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)
    arn: str
    until: float
    sagemaker: Any = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values to remove from messages."""
        return (self.token, self.secret, self.key_id)


class Aws:
    """Makes boto3 clients with fixed endpoints, no proxy and no retries. The lock is needed because creating a client
    is not thread-safe."""

    def __init__(self, settings: SageMakerSettings, botocore_session: Any = None) -> None:
        for chatty in ("boto3", "botocore", "urllib3"):
            logging.getLogger(chatty).setLevel(logging.WARNING)  # at DEBUG they log whole requests
        self._settings = settings
        self._session = botocore_session or botocore.session.Session()
        self._lock = threading.Lock()
        self._config = Config(
            connect_timeout=settings.connect_seconds,
            read_timeout=settings.read_seconds,
            retries={"total_max_attempts": 1},
            proxies={},
            user_agent_extra="freepool",
            max_pool_connections=settings.readers + settings.actors,
        )
        # Load the models now: that takes half a second.
        self.client("sagemaker", settings.api, settings.regions[0], "none", "none", None)

    def client(self, service: str, pattern: str, region: str, key_id: str, secret: str, token: str | None) -> Any:
        """A client of one service. `pattern`: its endpoint, with `{region}`."""
        with self._lock:
            return self._session.create_client(
                service,
                region_name=region,
                endpoint_url=self._settings.url(pattern, region),
                aws_access_key_id=key_id,
                aws_secret_access_key=secret,
                aws_session_token=token,
                config=self._config,
            )

    def assume(self, account: Account, use: Use, *, external_id: str | None, until: float) -> RoleSession:
        """Assume the role; blocks. Raises `AuthLost` where the role refuses."""
        key = platform_key(self._settings.key)
        secret = key.access_key_secret.get_secret_value()
        token = key.security_token.get_secret_value() if key.security_token else None
        sts = self.client("sts", self._settings.sts, account.region, key.access_key_id, secret, token)
        condition = {"ExternalId": external_id} if external_id is not None else {}
        try:
            answer = sts.assume_role(
                RoleArn=account.role,
                RoleSessionName=f"freepool-{use}",
                DurationSeconds=SESSION_SECONDS,
                Policy=session_policy(use),
                **condition,
            )
        except Exception as error:
            failed = _blame(translate(error, mutates=False, secrets=(secret, token or "", external_id or "")))
        else:
            return self._session_from(answer, account, until)
        finally:
            sts.close()
        raise failed  # outside of the handler, so that boto3's exception, which holds secrets, is not its context

    def identity(self, session: RoleSession, region: str) -> str:
        """The account that the session is in, by GetCallerIdentity."""
        sts = self.client("sts", self._settings.sts, region, session.key_id, session.secret, session.token)
        try:
            return str(sts.get_caller_identity()["Account"])
        except Exception as error:
            failed = translate(error, mutates=False, secrets=session.secrets)
        finally:
            sts.close()
        raise say(base.Unavailable, code="SessionExpired") if isinstance(failed, Expired) else failed

    def _session_from(self, answer: Any, account: Account, until: float) -> RoleSession:
        keys = answer["Credentials"]
        key_id, secret, token = keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]
        return RoleSession(
            key_id=key_id,
            secret=secret,
            token=token,
            arn=answer["AssumedRoleUser"]["Arn"],
            until=until,
            sagemaker=self.client("sagemaker", self._settings.api, account.region, key_id, secret, token),
        )


def session_policy(use: Use) -> str:
    """The session policy: the session has only these rights, even where the role has more."""
    statement = {"Effect": "Allow", "Action": list(ACTIONS[use]), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def _blame(error: Exception) -> Exception:
    """Map errors of the platform's key or request to `Unavailable`, so that they do not count as a lost role."""
    if isinstance(error, Expired):
        return say(base.Unavailable, code="PlatformKeyExpired")
    is_ours = isinstance(error, base.ProviderError) and error.code.startswith(PLATFORM_KEY_CODES)
    if is_ours or isinstance(error, base.Rejected):
        return say(base.Unavailable, code=error.code, request_id=error.request_id)  # type: ignore[attr-defined]
    return error
