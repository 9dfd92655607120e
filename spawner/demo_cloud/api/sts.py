"""STS: assume roles, and authorize the calls of their sessions."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from spawner.demo_cloud import policy
from spawner.demo_cloud.accounts import Caller, Directory, Session
from spawner.demo_cloud.clock import iso
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.world import World

SHORTEST = 900
LONGEST_POLICY = 2048
DENIED = "You are not authorized to do this action. You should be authorized by RAM."


def assume_role(directory: Directory, caller: Caller, query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Make a session of a role that trusts the caller. Raises `ApiError`."""
    arn, name = query.get("RoleArn", ""), query.get("RoleSessionName", "")
    external_id = query.get("ExternalId")
    if caller.arn.endswith(":root"):
        raise ApiError(403, "NoPermission", "Roles may not be assumed by root accounts.")
    if not re.fullmatch(r"[A-Za-z0-9.@_-]{2,64}", name):
        raise ApiError(400, "InvalidParameter.RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
    if external_id is not None and not re.fullmatch(r"[\w+=,.@:/-]{2,1224}", external_id):
        raise ApiError(400, "InvalidParameter.ExternalId", "The parameter ExternalId is wrongly formed.")
    role = directory.role(arn)
    if role is None:
        raise ApiError(404, "EntityNotExist.Role", "The specified Role not exists.")
    seconds = int(query.get("DurationSeconds", SHORTEST * 4))
    if not SHORTEST <= seconds <= role.max_session:
        raise ApiError(400, "InvalidParameter.DurationSeconds", "The Min/Max value of DurationSeconds is 15min/1hr.")
    text = query.get("Policy")
    if text is not None and len(text) > LONGEST_POLICY:
        raise ApiError(400, "InvalidParameter.PolicySize", "The size of Policy must be smaller than 2048 bytes.")
    try:
        limits = policy.parse(text) if text is not None else None
    except policy.BadPolicy as error:
        raise ApiError(
            400, "InvalidParameter.PolicyGrammar", f"The parameter Policy has no correct grammar: {error}"
        ) from None
    context = {"sts:ExternalId": external_id} if external_id is not None else {}
    if not policy.trusts(role.trust, caller.arn, context):
        raise ApiError(403, "NoPermission", DENIED)
    session = Session(
        key_id=f"STS.{secrets.token_hex(12)}",
        secret=secrets.token_hex(20),
        token=f"CAIS{secrets.token_hex(40)}",
        role=arn,
        name=name,
        account=arn.split(":")[3],
        policy=limits,
        expires=now + timedelta(seconds=seconds),
    )
    directory.sessions[session.key_id] = session
    return {
        "AssumedRoleUser": {"Arn": session.arn, "AssumedRoleId": f"300000000000000001:{name}"},
        "Credentials": {
            "AccessKeyId": session.key_id,
            "AccessKeySecret": session.secret,
            "SecurityToken": session.token,
            "Expiration": iso(session.expires),
        },
    }


def caller_identity(caller: Caller) -> dict[str, Any]:
    """The caller's identity."""
    kind = "AssumedRoleUser" if caller.session else "RAMUser"
    return {
        "AccountId": caller.account,
        "Arn": caller.arn,
        "IdentityType": kind,
        "PrincipalId": f"300000000000000001:{caller.session.name}" if caller.session else "200000000000000001",
    }


def authorize(directory: Directory, caller: Caller, actions: Sequence[str], context: Mapping[str, str]) -> None:
    """Raise `ApiError` unless both the role and the session policy allow the action."""
    if caller.session is None:
        raise _denied(caller, actions[0], policy.Verdict.IMPLICIT_DENY)
    role = directory.role(caller.session.role)
    if role is None:
        # ASSUMED: the code for a session whose role was deleted.
        raise ApiError(403, "InvalidSecurityToken.RoleNotExist", "The role of the security token does not exist.")
    documents = [role.permissions] + ([caller.session.policy] if caller.session.policy is not None else [])
    for document in documents:
        verdict = policy.evaluate(document, actions, context)
        if verdict is not policy.Verdict.ALLOW:
            raise _denied(caller, actions[0], verdict)


def is_allowed(world: World, caller: Caller, action: str) -> bool:
    """Whether the caller may perform an action that has no instance."""
    try:
        authorize(world.directory, caller, (action,), {"acs:SourceIp": world.source_ip})
    except ApiError:
        return False
    return True


def _denied(caller: Caller, action: str, verdict: policy.Verdict) -> ApiError:
    detail = {
        "AuthAction": action,
        "AuthPrincipalType": "AssumedRoleUser" if caller.session else "SubUser",
        "AuthPrincipalOwnerId": caller.account,
        "NoPermissionType": verdict.value,
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }
    return ApiError(403, "NoPermission", "You are not authorized to do this action.", AccessDeniedDetail=detail)
