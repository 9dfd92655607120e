"""Check whether a user's role may be used: the checks against confused deputies, then its read permissions."""

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
    """Run all checks; blocks. Changes nothing in the cloud. Raises `ProviderError` where a check gets no answer."""
    session = assume_role_checks.check(
        account,
        lambda external_id: assume(settings, account, Use.READ, external_id=external_id, until=0),
        lambda assumed: _identity(settings, account, assumed),
    )
    return session if isinstance(session, Probe) else _check_permissions(settings, account, session)


def _check_permissions(settings: DswSettings, account: Account, session: RoleSession) -> Probe:
    """Try each read call that Freepool needs, and one call that it must not need."""
    problems: list[assume_role_checks.Sentence] = []
    remarks: list[assume_role_checks.Sentence] = []
    client = _client(Dsw, settings, account, session, settings.endpoint(account.region, "dsw"))
    workspace_client = _client(Workspaces, settings, account, session, settings.endpoint(account.region, "workspaces"))

    def try_read(action: str, send: Callable[[Any], Any]) -> Any:
        try:
            return _send(settings, session, send)
        except base.AuthLost:
            problems.append((assume_role_checks.CANNOT_READ, {"action": action}))
            return None

    everything = dsw.ListInstancesRequest(workspace_id="ALL", resource_id="ALL", page_size=1, page_number=1)
    try_read("paidsw:ListInstances", lambda time: client.list_instances_with_options(everything, {}, time))
    instance_types = dsw.ListEcsSpecsRequest(accelerator_type="CPU", page_number=1, page_size=1)
    try_read("paidsw:ListEcsSpecs", lambda time: client.list_ecs_specs_with_options(instance_types, {}, time))
    config = try_read("paidsw:GetUserConfig", lambda time: client.get_user_config_with_options({}, time))
    if config is not None and config.account_sufficient is False:
        remarks.append((assume_role_checks.NOT_SOLVENT, {}))
    first_page = workspaces.ListWorkspacesRequest(page_number=1, page_size=PAGE)
    listed = try_read(
        "paiworkspace:ListWorkspaces",
        lambda time: workspace_client.list_workspaces_with_options(first_page, {}, time),
    )
    available = [
        (str(workspace.workspace_id), str(workspace.display_name or workspace.workspace_name or workspace.workspace_id))
        for workspace in (listed.workspaces or () if listed is not None else ())
    ]
    if listed is not None and not available:
        problems.append((assume_role_checks.NO_WORKSPACE, {}))
    if _lists_users(settings, account):
        remarks.append((assume_role_checks.TOO_MUCH, {"action": "ram:ListUsers"}))
    return Probe(account.account_id, tuple(problems), tuple(remarks), tuple(available))


def _identity(settings: DswSettings, account: Account, session: RoleSession) -> str:
    """The account that the session is in, by GetCallerIdentity."""
    client = _client(Sts, settings, account, session, settings.sts)
    return str(_send(settings, session, client.get_caller_identity_with_options).account_id or "")


def _lists_users(settings: DswSettings, account: Account) -> bool:
    """Whether the role allows listing the account's RAM users: a sign that it has too many rights."""
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
        # This only leads to a remark, so an error counts as "not allowed".
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
