"""Whether a role may be used for its owner: the checks against being used for a stranger, then what it can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alibabacloud_aiworkspace20210204 import models as workspaces
from alibabacloud_aiworkspace20210204.client import Client as Workspaces
from alibabacloud_pai_dsw20220101 import models as dsw
from alibabacloud_pai_dsw20220101.client import Client as Dsw
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params

from spawner.paid.providers import assume_role_checks, base
from spawner.paid.providers.base import Account, Probe
from spawner.paid.providers.calls import Expired, Use
from spawner.paid.providers.dsw import sdk
from spawner.paid.providers.dsw.errors import Translator
from spawner.paid.providers.dsw.sdk import OpenApi
from spawner.paid.providers.dsw.sessions import RoleSession, assume, runtime
from spawner.paid.providers.dsw.settings import DswSettings
from spawner.paid.providers.messages import say

PAGE = 100


def probe(settings: DswSettings, account: Account) -> Probe:
    """All of it, in one thread; changes nothing. Raises `ProviderError` where the cloud gives no verdict."""
    session = assume_role_checks.check(
        account,
        lambda external_id: assume(settings, account, Use.READ, external_id=external_id, until=0),
        lambda found: _identity(settings, account, found),
    )
    return session if isinstance(session, Probe) else _look(settings, account, session)


def _look(settings: DswSettings, account: Account, session: RoleSession) -> Probe:
    """What it can read of what must be read, and what it could do beyond."""
    problems: list[assume_role_checks.Sentence] = []
    remarks: list[assume_role_checks.Sentence] = []
    client = _client(Dsw, settings, account, session, settings.endpoint(account.region, "dsw"))
    rooms = _client(Workspaces, settings, account, session, settings.endpoint(account.region, "workspaces"))

    def reads(action: str, send: Callable[[Any], Any]) -> Any:
        try:
            return _send(settings, session, send)
        except base.AuthLost:
            problems.append((assume_role_checks.CANNOT_READ, {"action": action}))
            return None

    everything = dsw.ListInstancesRequest(workspace_id="ALL", resource_id="ALL", page_size=1, page_number=1)
    reads("paidsw:ListInstances", lambda time: client.list_instances_with_options(everything, {}, time))
    instance_types = dsw.ListEcsSpecsRequest(accelerator_type="CPU", page_number=1, page_size=1)
    reads("paidsw:ListEcsSpecs", lambda time: client.list_ecs_specs_with_options(instance_types, {}, time))
    config = reads("paidsw:GetUserConfig", lambda time: client.get_user_config_with_options({}, time))
    if config is not None and config.account_sufficient is False:
        remarks.append((assume_role_checks.NOT_SOLVENT, {}))
    where = workspaces.ListWorkspacesRequest(page_number=1, page_size=PAGE)
    listed = reads("paiworkspace:ListWorkspaces", lambda time: rooms.list_workspaces_with_options(where, {}, time))
    found = [
        (str(room.workspace_id), str(room.display_name or room.workspace_name or room.workspace_id))
        for room in (listed.workspaces or () if listed is not None else ())
    ]
    if listed is not None and not found:
        problems.append((assume_role_checks.NO_WORKSPACE, {}))
    if _lists_users(settings, account):
        remarks.append((assume_role_checks.TOO_MUCH, {"action": "ram:ListUsers"}))
    return Probe(account.account_id, tuple(problems), tuple(remarks), tuple(found))


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
        sdk.config(
            endpoint=endpoint,
            region=account.region,
            plain_http=settings.plain_http,
            key_id=session.key_id,
            secret=session.secret,
            token=session.token,
        )
    )
