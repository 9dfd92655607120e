"""PAI-DSW: which error each failure of the SDK, the cloud or the platform's key becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from spawner.paid.providers import base
from spawner.paid.providers.base import Request
from spawner.paid.providers.dsw.provider import DswProvider
from tests.cloud.steer import Steer
from tests.paid.dsw import REQUEST, linked

# A failure of the cloud, the error of a create, the error of a read, and whether the instance exists afterwards.
ROWS = [
    ({"kind": "error", "status": 400, "code": "Whatever"}, base.Rejected, base.Rejected, False),
    ({"kind": "xml", "status": 400, "code": "Whatever"}, base.Rejected, base.Rejected, False),
    ({"kind": "throttle", "seconds": 2.5}, base.Throttled, base.Throttled, False),
    ({"kind": "throttle_plain"}, base.Throttled, base.Throttled, False),
    ({"kind": "error", "status": 500, "code": "InternalError"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "error", "status": 503, "code": "ServiceUnavailable"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "late", "seconds": 60}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "empty500"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "html502"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "list400"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "success_false"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "success_false", "status": 500}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "success_false", "status": 404}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "success_false_after"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "body_none"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "not_json"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "half_body"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "hang_after", "seconds": 3}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "hang_before", "seconds": 3}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "close_after"}, base.OutcomeUnknown, base.Unavailable, True),
    ({"kind": "close_before"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "redirect", "url": "http://127.0.0.1:1/"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "error", "status": 400, "code": "SignatureNonceUsed"}, base.OutcomeUnknown, base.Unavailable, False),
    ({"kind": "error", "status": 400, "code": "InvalidTimeStamp.Expired"}, base.ClockSkew, base.ClockSkew, False),
    ({"kind": "error", "status": 403, "code": "NoPermission"}, base.AuthLost, base.AuthLost, False),
    ({"kind": "error", "status": 403, "code": "NoPermissionError"}, base.AuthLost, base.AuthLost, False),
    ({"kind": "error", "status": 403, "code": "Forbidden.RAM"}, base.AuthLost, base.AuthLost, False),
    (
        {"kind": "error", "status": 403, "code": "InvalidSecurityToken.RoleNotExist"},
        base.AuthLost,
        base.AuthLost,
        False,
    ),
    ({"kind": "error", "status": 403, "code": "Forbidden.UserVerification"}, base.Rejected, base.Rejected, False),
    ({"kind": "error", "status": 400, "code": "InsufficientBalance"}, base.Insufficient, base.Insufficient, False),
    ({"kind": "error", "status": 404, "code": "InvalidAction.NotFound"}, base.Rejected, base.Rejected, False),
]


def names(rows: list[tuple[dict[str, object], type, type, bool]]) -> list[str]:
    return ["-".join(str(value) for value in row[0].values()) for row in rows]


@pytest.mark.parametrize(("fault", "create", "read", "exists"), ROWS, ids=names(ROWS))
async def test_each_failure_becomes_one_error(
    cloud: Steer, dsw: DswProvider, fault: dict[str, object], create: type, read: type, exists: bool
) -> None:
    """In a change and in a read."""
    account = linked(cloud)
    cloud.fault("CreateInstance", **fault)  # type: ignore[arg-type]
    with pytest.raises(base.ProviderError) as caught:
        await dsw.create(account, REQUEST)
    assert type(caught.value) is create
    assert [instance["name"] for instance in cloud.instances()] == ([REQUEST.name] if exists else [])
    if not exists:
        await dsw.create(account, REQUEST)
    remote_id = cloud.instances()[0]["id"]
    cloud.fault("GetInstance", **fault)  # type: ignore[arg-type]
    with pytest.raises(base.ProviderError) as caught:
        await dsw.describe(account, remote_id)
    assert type(caught.value) is read


async def test_a_throttled_error_has_the_clouds_delay_or_none(cloud: Steer, dsw: DswProvider) -> None:
    account = linked(cloud)
    cloud.fault("ListInstances", "throttle", seconds=2.5)
    with pytest.raises(base.Throttled) as caught:
        await dsw.owned(account, {})
    assert caught.value.after == 2.5
    cloud.fault("ListInstances", "throttle_plain")
    with pytest.raises(base.Throttled) as caught:
        await dsw.owned(account, {})
    assert caught.value.after is None


async def test_a_create_answered_without_an_id_has_an_unknown_outcome(cloud: Steer, dsw: DswProvider) -> None:
    """Find shows the instance."""
    account = linked(cloud)
    cloud.fault("CreateInstance", "no_id")
    with pytest.raises(base.OutcomeUnknown):
        await dsw.create(account, REQUEST)
    assert await dsw.find(account, REQUEST.name)


async def test_an_instance_that_appears_late_is_found_later(cloud: Steer, dsw: DswProvider) -> None:
    account = linked(cloud)
    cloud.fault("CreateInstance", "late", seconds=90)
    with pytest.raises(base.OutcomeUnknown):
        await dsw.create(account, REQUEST)
    assert await dsw.find(account, REQUEST.name) is None
    cloud.advance(91)
    assert await dsw.find(account, REQUEST.name)
    with pytest.raises(base.AlreadyExists):
        await dsw.create(account, REQUEST)


async def test_a_bad_platform_key_is_unavailable_and_not_lost_access(
    cloud: Steer, dsw: DswProvider, tmp_path: Path
) -> None:
    """Otherwise a wrong file would block all bindings. The corrected file works without a restart."""
    account = linked(cloud)
    file = tmp_path / "platform-key.json"
    good = file.read_text()
    for bad in (
        good.replace(cloud.keys.access_key_secret, "wrong"),
        good.replace(cloud.keys.access_key_id, "LTAInobody"),
        "{",
    ):
        file.write_text(bad)
        with pytest.raises(base.Unavailable) as caught:
            await dsw.owned(account, {})
        assert cloud.keys.access_key_secret not in str(caught.value)
    file.write_text(good)
    assert await dsw.owned(account, {}) == []


async def test_a_wrong_clock_has_an_error_of_its_own(cloud: Steer, dsw: DswProvider) -> None:
    account = linked(cloud)
    await dsw.owned(account, {})
    cloud.quirk(skew=1200)
    with pytest.raises(base.ClockSkew):
        await dsw.owned(account, {})
    with pytest.raises(base.ClockSkew):
        await dsw.create(account, REQUEST)


async def test_missing_capacity_and_balance_have_errors_of_their_own(cloud: Steer, dsw: DswProvider) -> None:
    """They are recognized by the message, because the cloud has no codes for them."""
    account = linked(cloud)
    cloud.instance_type("ecs.g6.large", available=False)
    with pytest.raises(base.NoCapacity):
        await dsw.create(account, REQUEST)
    cloud.instance_type("ecs.g6.large", available=True)
    cloud.account(sufficient=False)
    with pytest.raises(base.Insufficient):
        await dsw.create(account, REQUEST)
    assert (await dsw.probe(account)).remarks


@pytest.mark.parametrize("action", ["CreateInstanceShutdownTimer", "CreateIdleInstanceCuller"])
async def test_auto_stop_with_one_failed_call_has_an_unknown_outcome(
    cloud: Steer, dsw: DswProvider, action: str
) -> None:
    account = linked(cloud)
    remote_id = await dsw.create(account, REQUEST)
    cloud.fault(action, "error", status=500)
    with pytest.raises(base.OutcomeUnknown):
        await dsw.set_auto_stop(account, remote_id, stop_in=600, idle=1800)


async def test_a_list_with_a_failed_page_is_an_error(cloud: Steer, dsw: DswProvider) -> None:
    account = linked(cloud)
    for number in range(101):
        await dsw.create(account, Request(f"fp{number}", "ecs.g6.large", {"fp": "1"}))
    assert len(await dsw.owned(account, {"fp": "1"})) == 101
    cloud.fault("ListInstances", "slow", seconds=0)
    cloud.fault("ListInstances", "html502")
    with pytest.raises(base.Unavailable):
        await dsw.owned(account, {"fp": "1"})
    cloud.clear_faults()
