"""The API gateway: authenticates, authorizes, executes, logs and answers each call, and injects faults."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web

from spawner.demo_cloud.accounts import Caller
from spawner.demo_cloud.api import dsw, other_services, sts, timers
from spawner.demo_cloud.api.broken_answers import answer
from spawner.demo_cloud.api.operations import ApiCall, Operation
from spawner.demo_cloud.api.signature import Signed
from spawner.demo_cloud.errors import ApiError
from spawner.demo_cloud.faults import BEFORE, Fault, Kind
from spawner.demo_cloud.world import World

VERSIONS = {
    "2015-04-01": "sts",
    "2022-01-01": "dsw",
    "2021-02-04": "aiworkspace",
    "2017-12-14": "bss",
    "2015-05-01": "ram",
}
OPERATIONS: Mapping[str, Operation] = {**other_services.OPERATIONS, **dsw.OPERATIONS, **timers.OPERATIONS}
LATE_STATUS = 504


@dataclass(frozen=True)
class Reply:
    """Result of a call. `done`: whether it took effect."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]
    done: bool


class Gateway:
    """The endpoint of one region. That of the first region also serves STS, RAM and BSS."""

    def __init__(self, world: World, region: str) -> None:
        self._world, self._region = world, region

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one call."""
        signed = await _signed(request)
        action = signed.headers.get("x-acs-action", "")
        when = self._world.now()
        key = signed.headers.get("authorization", "").partition("Credential=")[2].partition(",")[0]
        fault = self._world.faults.take(action, self._account(key))
        reply = self._reply(signed, action, when, fault)
        self._note(signed, action, when, reply, key, fault)
        return await answer(request, reply.status, reply.body, reply.headers, fault)

    def _reply(self, signed: Signed, action: str, when: datetime, fault: Fault | None) -> Reply:
        try:
            operation = OPERATIONS.get(action)
            if operation is None or VERSIONS.get(signed.headers.get("x-acs-version", "")) != operation.service:
                raise ApiError(404, "InvalidAction.NotFound", "Specified api is not found, please check your url.")
            if fault is not None and fault.kind in BEFORE and fault.kind not in (Kind.LATE, Kind.IGNORED):
                return Reply(200, _success(operation, {"InstanceId": None}), {}, done=False)
            caller = self._authenticate(signed)
            call = ApiCall(caller, self._region, dict(signed.query), _body(signed), _subject(signed), when)
            self._authorize(operation, call)
            if fault is not None and fault.kind is Kind.IGNORED:
                return Reply(200, _success(operation, {"InstanceId": call.subject or None}), {}, done=False)
            if fault is not None and fault.kind is Kind.LATE:
                self._world.later(fault.seconds, lambda due: self._late(operation, call, due))
                return Reply(
                    LATE_STATUS, _failure(ApiError(LATE_STATUS, "ServiceTimeout", "timed out")), {}, done=False
                )
            body = operation.run(self._world, call)
            if fault is not None:
                self._afterwards(fault, body)
            return Reply(200, _success(operation, body), {}, done=True)
        except ApiError as error:
            return Reply(error.status, _failure(error), error.headers, done=False)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            invalid = ApiError(400, "ValidationError", f"{type(error).__name__}: {error}", Success=False)
            return Reply(invalid.status, _failure(invalid), {}, done=False)

    def _authenticate(self, signed: Signed) -> Caller:
        directory, key = self._world.directory, signed.key_id
        session = directory.sessions.get(key)
        if session is not None:
            if not secrets.compare_digest(signed.headers.get("x-acs-security-token", ""), session.token):
                raise ApiError(400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
            signed.check(session.secret, skew=self._world.skew, nonces=self._world.nonces)
            if self._world.now() >= session.expires:
                raise ApiError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
            return Caller(session.arn, session.account, session)
        user_key = directory.keys.get(key)
        if user_key is None:
            raise ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        signed.check(user_key.secret, skew=self._world.skew, nonces=self._world.nonces)
        return Caller(user_key.arn, user_key.arn.split(":")[3])

    def _authorize(self, operation: Operation, call: ApiCall) -> None:
        if not operation.actions:
            return
        context = {"acs:SourceIp": self._world.source_ip, "bssapi:ProductCode": call.query.get("ProductCode", "")}
        instance = self._world.instances.get(call.subject) if operation.on_instance else None
        if instance is not None and instance.account == call.caller.account:
            is_creator = instance.creator == call.caller.creator
            context["pai:EntityAccessType"] = "CREATOR" if is_creator else "OTHERS"
        elif operation.on_instance:
            context["pai:EntityAccessType"] = "CREATOR"  # ASSUMED: for a missing instance, access is not denied
        sts.authorize(self._world.directory, call.caller, operation.actions, context)

    def _late(self, operation: Operation, call: ApiCall, due: datetime) -> None:
        late = ApiCall(call.caller, call.region, call.query, call.body, call.subject, due)
        code = ""
        try:
            operation.run(self._world, late)
        except ApiError as error:
            code = error.code
        self._world.call_log.add(
            at=due.isoformat(),
            service=operation.service,
            region=self._region,
            action="(late)",
            mutates=operation.mutates,
            done=not code,
            status=0,
            code=code,
            account=call.caller.account,
            principal=call.caller.arn,
            subject=_subject_or_name(call.subject, call.body),
            fault="late",
            params={},
        )

    def _afterwards(self, fault: Fault, body: Mapping[str, Any]) -> None:
        """Apply faults that change the instance and not the response."""
        instance = self._world.instances.get(str(body.get("InstanceId", "")))
        if instance is None:
            return
        if fault.kind is Kind.FAIL_BOOT:
            instance.fails = (fault.code, fault.message)
        if fault.kind in (Kind.NEVER_STOPS, Kind.NEVER_DELETES):
            instance.held = True

    def _account(self, key: str) -> str | None:
        session, user_key = self._world.directory.sessions.get(key), self._world.directory.keys.get(key)
        return session.account if session else user_key.arn.split(":")[3] if user_key else None

    def _note(self, signed: Signed, action: str, when: datetime, reply: Reply, key: str, fault: Fault | None) -> None:
        operation, session = OPERATIONS.get(action), self._world.directory.sessions.get(key)
        user_key = self._world.directory.keys.get(key)
        body = _body(signed)
        self._world.call_log.add(
            at=when.isoformat(),
            service=operation.service if operation else "",
            region=self._region,
            action=action,
            mutates=operation.mutates if operation else False,
            done=reply.done,
            status=fault.sent(reply.status) if fault else reply.status,
            code=str(reply.body.get("Code") or ""),
            account=self._account(key) or "",
            principal=session.arn if session else user_key.arn if user_key else "",
            subject=dict(signed.query).get("RoleArn") or _subject_or_name(_subject(signed), body),
            fault=fault.kind.value if fault else "",
            params={**dict(signed.query), **body},
        )


async def _signed(request: web.Request) -> Signed:
    target = urlsplit(request.raw_path)
    return Signed(
        method=request.method,
        path=target.path,
        query=parse_qsl(target.query, keep_blank_values=True),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read(),
    )


def _body(signed: Signed) -> dict[str, Any]:
    try:
        body = json.loads(signed.body) if signed.body else {}
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _subject(signed: Signed) -> str:
    parts = signed.path.split("/")
    if parts[1:4] == ["api", "v2", "instances"] and len(parts) > 4:
        return unquote(parts[4])
    return dict(signed.query).get("InstanceId", "")


def _subject_or_name(subject: str, body: Mapping[str, Any]) -> str:
    return subject or str(body.get("InstanceName", ""))


def _success(operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
    common: dict[str, Any] = {"RequestId": secrets.token_hex(16).upper()}
    if operation.service == "dsw":
        common |= {"Success": True, "Code": None, "Message": None, "HttpStatusCode": 200}
    return {**common, **body}


def _failure(error: ApiError) -> dict[str, Any]:
    return {"RequestId": secrets.token_hex(16).upper(), "Code": error.code, "Message": error.message, **error.extra}
