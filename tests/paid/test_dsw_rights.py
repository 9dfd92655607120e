"""PAI-DSW: what roles and sessions may do, and how long a session lasts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spawner.paid.providers import assume_role_checks
from spawner.paid.providers.base import Account
from spawner.paid.providers.calls import Use
from spawner.paid.providers.dsw.assumptions import DswAssumptions
from spawner.paid.providers.dsw.policies import permission_document, session_policy, trust_document
from spawner.paid.providers.dsw.provider import DswProvider
from tests.cloud.steer import ADA, ROLE_NAME, Steer
from tests.paid.dsw import EXTERNAL_ID, REQUEST, dsw_settings, linked


async def test_a_session_may_do_only_what_its_use_needs(cloud: Steer, dsw: DswProvider) -> None:
    """Though the role may do everything."""
    account = linked(cloud, actions=["*"])
    remote_id = await dsw.create(account, REQUEST)
    cloud.advance(60)
    await dsw.set_auto_stop(account, remote_id, stop_in=3600, idle=1800)
    await dsw.describe(account, remote_id)
    await dsw.access(account, remote_id)
    used = {call.action: call.principal.rsplit("-", 1)[-1] for call in cloud.calls() if call.service == "dsw"}
    assert {action: use for action, use in used.items() if use == "act"}.keys() == {
        call.action for call in cloud.mutations()
    }
    assert used["GetToken"] == "open"
    policies = [call.params["Policy"] for call in cloud.calls(action="AssumeRole")]
    assert len(policies) == 3
    assert all(len(text) <= 2048 and json.loads(text)["Statement"][0]["Action"] != ["*"] for text in policies)


@pytest.mark.parametrize("use", Use)
def test_every_session_policy_is_short_and_without_wildcards(use: Use) -> None:
    text = session_policy(use, DswAssumptions())
    assert len(text) <= 2048
    assert "*" not in json.dumps(json.loads(text)["Statement"][0]["Action"])


@pytest.mark.parametrize("hardened", [False, True])
async def test_the_documented_role_passes_the_probe_and_allows_every_call(
    cloud: Steer, dsw: DswProvider, hardened: bool
) -> None:
    """Also in its hardened variant."""
    settings = dsw._settings
    cloud.role(
        EXTERNAL_ID,
        trust=trust_document(settings.principal, EXTERNAL_ID),
        permissions=permission_document(settings.assumptions, hardened=hardened),
    )
    account = Account("dsw", "cn-hangzhou", ADA, f"acs:ram::{ADA}:role/{ROLE_NAME}", EXTERNAL_ID)
    probe = await dsw.probe(account)
    assert (list(probe.problems), list(probe.remarks)) == ([], [])
    remote_id = await dsw.create(account, REQUEST)
    cloud.advance(60)
    for _ in range(2):
        await dsw.set_auto_stop(account, remote_id, stop_in=3600, idle=1800)
    assert (await dsw.access(account, remote_id)).url
    await dsw.stop(account, remote_id)
    cloud.advance(20)
    await dsw.start(account, remote_id)
    cloud.advance(60)
    await dsw.stop(account, remote_id)
    cloud.advance(20)
    await dsw.delete(account, remote_id)


async def test_a_role_with_too_many_rights_gets_a_remark(cloud: Steer, dsw: DswProvider) -> None:
    probe = await dsw.probe(linked(cloud, actions=["*"]))
    assert list(probe.problems) == []
    assert [params for _, params in probe.remarks] == [{"action": "ram:ListUsers"}]


@pytest.mark.parametrize("missing", ["ListInstances", "ListEcsSpecs", "GetUserConfig"])
async def test_a_role_without_read_rights_is_refused(cloud: Steer, dsw: DswProvider, missing: str) -> None:
    """Without lists no cap can be kept."""
    document = permission_document(DswAssumptions())
    document["Statement"].append({"Effect": "Deny", "Action": f"paidsw:{missing}", "Resource": "*"})
    probe = await dsw.probe(linked(cloud, permissions=document))
    assert list(probe.problems) == [(assume_role_checks.CANNOT_READ, {"action": f"paidsw:{missing}"})]


async def test_sessions_are_replaced_before_they_expire(cloud: Steer, tmp_path: Path) -> None:
    """Five minutes before, by our monotonic clock."""
    now = [0.0]
    provider = DswProvider(dsw_settings(cloud, tmp_path), monotonic=lambda: now[0])
    account = linked(cloud)
    for seconds, asked in ((0, 1), (3300, 1), (3301, 2), (6601, 2), (6602, 3)):
        now[0] = seconds
        await provider.owned(account, {})
        assert len(cloud.calls(action="AssumeRole")) == asked, seconds
    await provider.close()
