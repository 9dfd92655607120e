"""Faults of the stand-in: each does what its name says, so often as it was told, and to whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alibabacloud_pai_dsw20220101 import models as dsw
from alibabacloud_pai_dsw20220101.client import Client as Dsw
from darabonba.runtime import RuntimeOptions

from spawner.demo_cloud.faults import BEFORE, Kind
from tests.cloud.by_sdk import client
from tests.cloud.steer import ADA, LI, Refused, Steer, cloud_in_thread

SHORT = RuntimeOptions(connect_timeout=1000, read_timeout=400)
IN_THE_INSTANCE = (Kind.FAIL_BOOT, Kind.NEVER_STOPS, Kind.NEVER_DELETES, Kind.SLOW, Kind.IGNORED)


@pytest.fixture
def cloud() -> Iterator[Steer]:
    """A stand-in whose time stands still."""
    with cloud_in_thread() as steer:
        yield steer


@pytest.fixture
def api(cloud: Steer) -> Dsw:
    """The real SDK in a session of Ada's role."""
    return client(cloud)


def create(api: Dsw, name: str = "fp1") -> str:
    """One instance."""
    request = dsw.CreateInstanceRequest(instance_name=name, ecs_spec="ecs.g6.large", image_id="image-1")
    answer = api.create_instance_with_options(request, {}, SHORT)
    assert answer.body is not None
    assert answer.body.success
    assert isinstance(answer.body.instance_id, str)
    return str(answer.body.instance_id)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in IN_THE_INSTANCE])
def test_a_call_that_fails_was_done_or_not_as_the_fault_says(cloud: Steer, api: Dsw, kind: Kind) -> None:
    """Once: the next one succeeds, and the log tells them apart."""
    cloud.fault("CreateInstance", kind.value, seconds=1, url="http://127.0.0.1:9/")
    with pytest.raises(Exception, match=r"\w"):  # the SDK has many kinds, which tests/paid tells apart
        create(api)
    [call] = cloud.mutations()
    assert (call.done, call.fault, len(cloud.instances())) == (kind not in BEFORE, kind.value, int(kind not in BEFORE))
    assert create(api, "fp2")


def test_what_comes_late_comes_when_it_is_due(cloud: Steer, api: Dsw) -> None:
    """With the time of then, and in the log."""
    cloud.fault("CreateInstance", "late", seconds=60)
    with pytest.raises(Exception, match="timed out"):
        create(api)
    cloud.advance(59)
    assert cloud.instances() == []
    cloud.advance(1)
    assert [one["name"] for one in cloud.instances()] == ["fp1"]
    assert cloud.mutations()[-1].action == "(late)"


def test_what_is_ignored_is_answered_as_if_it_had_been_done(cloud: Steer, api: Dsw) -> None:
    """A timer that was taken but does not exist."""
    made = create(api)
    cloud.fault("CreateInstanceShutdownTimer", "ignored")
    request = dsw.CreateInstanceShutdownTimerRequest(remaining_time_in_ms=60_000)
    assert api.create_instance_shutdown_timer(made, request).body.success
    assert cloud.instance(made)["due"] is None
    cloud.advance(3600)
    assert cloud.instance(made)["status"] == "Running"


def test_an_instance_may_fail_to_boot_to_stop_or_to_go(cloud: Steer, api: Dsw) -> None:
    """Though the call itself succeeded. One that does not stop goes on costing."""
    cloud.fault("CreateInstance", "fail_boot", code="NoStock", message="none left")
    failed = create(api)
    cloud.advance(60)
    assert cloud.instance(failed)["status"] == "Failed"
    stuck = create(api, "fp2")
    cloud.advance(60)
    cloud.fault("StopInstance", "never_stops")
    api.stop_instance(stuck, dsw.StopInstanceRequest())
    owed = cloud.owes()
    cloud.advance(1800)
    assert cloud.instance(stuck)["status"] == "Stopping"
    assert cloud.owes() > owed
    cloud.fault("DeleteInstance", "never_deletes")
    api.delete_instance(failed)
    cloud.advance(3600)
    assert cloud.instance(failed)["status"] == "Deleting"


def test_faults_count_and_choose(cloud: Steer, api: Dsw) -> None:
    """So many times, and for one account only; and can be taken back."""
    cloud.fault("ListInstances", "error", times=2, status=500)
    cloud.fault("ListInstances", "error", times=-1, account=LI)
    for _ in range(2):
        with pytest.raises(Exception, match="unknown error"):
            api.list_instances(dsw.ListInstancesRequest())
    assert api.list_instances(dsw.ListInstancesRequest()).body.total_count == 0
    cloud.fault("*", "error", times=-1, account=ADA)
    with pytest.raises(Exception, match="unknown error"):
        api.get_user_config()
    cloud.clear_faults()
    assert api.get_user_config().body.account_sufficient
    with pytest.raises(Refused):
        cloud.fault("ListInstances", "no_such_kind")


def test_names_are_taken_once_and_matched_in_part(cloud: Steer, api: Dsw) -> None:
    """And in the default workspace unless asked otherwise: the traps of the real one."""
    cloud.account(workspaces={"1": "default", "2": "other"})
    create(api, "fp12")
    request = dsw.CreateInstanceRequest(
        instance_name="fp123", ecs_spec="ecs.g6.large", image_id="image-1", workspace_id="2"
    )
    api.create_instance(request)
    with pytest.raises(Exception, match="already exists"):
        create(api, "fp12")

    def listed(**asked: object) -> list[str]:
        return [one.instance_name for one in api.list_instances(dsw.ListInstancesRequest(**asked)).body.instances]

    assert listed(instance_name="fp1") == ["fp12"]
    assert sorted(listed(instance_name="fp1", workspace_id="ALL")) == ["fp12", "fp123"]


def test_private_instances_of_others_need_a_right_of_their_own(cloud: Steer, api: Dsw) -> None:
    """What one role made, another does not see."""
    create(api)
    other = client(cloud, name="Other", actions=["paidsw:ListInstances"])
    assert other.list_instances(dsw.ListInstancesRequest(workspace_id="ALL")).body.total_count == 0
    with pytest.raises(Exception, match="not authorized"):
        other.get_instance(cloud.instances()[0]["id"], dsw.GetInstanceRequest())
