"""Whether a role may be used for its owner: four checks against being used for a stranger, then what it can read.

A role that lets us in without the right external id would let in whoever names it to us, so it is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from alibabacloud_aiworkspace20210204 import models as workspaces
from alibabacloud_aiworkspace20210204.client import Client as Workspaces
from alibabacloud_pai_dsw20220101 import models as dsw
from alibabacloud_pai_dsw20220101.client import Client as Dsw
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params

from spawner.paid.providers import base, dsw_sdk
from spawner.paid.providers.base import Account, Probe
from spawner.paid.providers.calls import Expired, Use
from spawner.paid.providers.dsw_errors import Translator
from spawner.paid.providers.dsw_sdk import OpenApi
from spawner.paid.providers.dsw_sessions import RoleSession, assume, runtime
from spawner.paid.providers.dsw_settings import DswSettings
from spawner.paid.providers.words import say

Sentence = tuple[str, Mapping[str, str]]

NOT_IN = "The role {role} does not let Freepool in: {said}"
OTHER_ACCOUNT = "The role belongs to account {actual}, and not to {expected}, which you proved to be yours."
TOO_OPEN = (
    "The role's trust policy is too open: it lets Freepool in {how}, and so would serve a stranger who knows its name."
)
WITHOUT = "without an external id"
WRONG = "with a wrong external id"
CANNOT_READ = "The role does not allow {action}, without which Freepool could not see what it costs or runs."
NOT_ACTIVE = "The cloud account cannot pay for an instance just now, the cloud says: look at its balance."
NO_WORKSPACE = "The account has no PAI workspace yet: open the PAI console once and make one."
TOO_MUCH = "The role also allows {action}. Freepool does not need that and will not use it: better take it away."
PAGE = 100


def probe(settings: DswSettings, account: Account) -> Probe:
    """All of it, in one thread; changes nothing. Raises `ProviderError` where the cloud gives no verdict."""
    parts = account.role.split(":")
    named = parts[3] if len(parts) > 4 else ""
    if named != account.account_id:
        return _refused(named, OTHER_ACCOUNT, actual=named or "?", expected=account.account_id)
    if not account.external_id:
        raise say(base.Rejected, code="NoExternalId")
    try:
        session = assume(settings, account, Use.READ, external_id=account.external_id, until=0)
    except base.AuthLost as error:
        return _refused(account.account_id, NOT_IN, role=account.role, said=error.code or "?")
    for how, external_id in ((WITHOUT, None), (WRONG, f"wrong-{secrets.token_hex(16)}")):
        if _lets_in(settings, account, external_id):
            return _refused(account.account_id, TOO_OPEN, how=how)
    actual = _identity(settings, account, session)
    arn = session.arn.split(":")
    if account.account_id != actual or account.account_id != (arn[3] if len(arn) > 4 else ""):
        return _refused(actual, OTHER_ACCOUNT, actual=actual or "?", expected=account.account_id)
    return _look(settings, account, session)


def _look(settings: DswSettings, account: Account, session: RoleSession) -> Probe:
    """What it can read of what must be read, and what it could do beyond."""
    problems: list[Sentence] = []
    remarks: list[Sentence] = []
    client = _client(Dsw, settings, account, session, settings.endpoint(account.region, "dsw"))
    rooms = _client(Workspaces, settings, account, session, settings.endpoint(account.region, "workspaces"))

    def reads(action: str, send: Callable[[Any], Any]) -> Any:
        try:
            return _send(settings, session, send)
        except base.AuthLost:
            problems.append((CANNOT_READ, {"action": action}))
            return None

    everything = dsw.ListInstancesRequest(workspace_id="ALL", resource_id="ALL", page_size=1, page_number=1)
    reads("paidsw:ListInstances", lambda time: client.list_instances_with_options(everything, {}, time))
    shapes = dsw.ListEcsSpecsRequest(accelerator_type="CPU", page_number=1, page_size=1)
    reads("paidsw:ListEcsSpecs", lambda time: client.list_ecs_specs_with_options(shapes, {}, time))
    config = reads("paidsw:GetUserConfig", lambda time: client.get_user_config_with_options({}, time))
    if config is not None and config.account_sufficient is False:
        remarks.append((NOT_ACTIVE, {}))
    where = workspaces.ListWorkspacesRequest(page_number=1, page_size=PAGE)
    listed = reads("paiworkspace:ListWorkspaces", lambda time: rooms.list_workspaces_with_options(where, {}, time))
    found = [
        (str(room.workspace_id), str(room.display_name or room.workspace_name or room.workspace_id))
        for room in (listed.workspaces or () if listed is not None else ())
    ]
    if listed is not None and not found:
        problems.append((NO_WORKSPACE, {}))
    if _lists_users(settings, account):
        remarks.append((TOO_MUCH, {"action": "ram:ListUsers"}))
    return Probe(account.account_id, tuple(problems), tuple(remarks), tuple(found))


def _lets_in(settings: DswSettings, account: Account, external_id: str | None) -> bool:
    try:
        assume(settings, account, Use.READ, external_id=external_id, until=0)
    except base.AuthLost:
        return False
    return True


def _identity(settings: DswSettings, account: Account, session: RoleSession) -> str:
    """The account that the session really is in."""
    client = _client(Sts, settings, account, session, settings.sts)
    return str(_send(settings, session, client.get_caller_identity_with_options).account_id or "")


def _lists_users(settings: DswSettings, account: Account) -> bool:
    """Whether the role could look at the account's people: a sign that it may do far more than it should."""
    params = Params(
        action="ListUsers",
        version="2015-05-01",
        protocol="HTTPS",
        pathname="/",
        method="POST",
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="json",
    )
    try:
        session = assume(settings, account, Use.EXCESS, external_id=account.external_id, until=0)
        client = _client(OpenApi, settings, account, session, settings.ram)
        client.call_api(params, OpenApiRequest(), runtime(settings))
    except Exception:
        # It is only a remark: whatever stands in the way of it, nothing is known.
        return False
    return True


def _send(settings: DswSettings, session: RoleSession, send: Callable[[Any], Any]) -> Any:
    translator = Translator(settings.assumptions, mutates=False, secrets=session.secrets)
    try:
        answer = send(runtime(settings))
    except Exception as error:
        failed = translator.raised(error)
    else:
        return translator.checked(answer.body)
    raise say(base.Unavailable, code="SessionExpired") if isinstance(failed, Expired) else failed


def _client(kind: Any, settings: DswSettings, account: Account, session: RoleSession, endpoint: str) -> Any:
    return kind(
        dsw_sdk.config(
            endpoint=endpoint,
            region=account.region,
            plain_http=settings.plain_http,
            key_id=session.key_id,
            secret=session.secret,
            token=session.token,
        )
    )


def _refused(account_id: str, template: str, **params: str) -> Probe:
    return Probe(account_id, ((template, params),))
