"""Flavors with an accelerator: an instance gets a device of its own, and where none is left users are told so.

The GPUs are pretended by a device plugin (`tests/cluster/device_plugin.py`): the kubelet allocates them as real ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from spawner.catalog import Accelerator
from spawner.ledger import EndReason
from spawner.pool.backends.kubernetes.manifest import make_manifest
from spawner.settings import KubernetesPool
from tests.backends.conformance import SMALL, spec
from tests.backends.notebook import Notebook
from tests.backends.wiped import show, tenant_on
from tests.kubernetes.conftest import GPUS, Cluster, wait_usable
from tests.kubernetes.gpus import Gpus, pretended_gpus
from tests.kubernetes.node import Node
from tests.kubernetes.platform import Platform
from tests.kubernetes.test_wiped import Pods
from tests.stack import Stack, eventually

SCHEDULE_SECONDS = 2
"""As the shared catalog has it."""


@pytest.fixture(scope="module")
def gpus(shared: Cluster) -> Iterator[Gpus]:
    """GPUs on the node, removed afterwards."""
    node = Node.of(shared.pool.admin)
    if node is None:
        pytest.skip("the cluster's node is not this machine")
    with pretended_gpus(shared.pool.admin, node, GPUS) as offered:
        yield offered


@pytest.fixture
def platform(shared: Cluster) -> Iterator[Platform]:
    """The shared Freepool; afterwards no user has a GPU."""
    yield Platform(shared.stack, shared.pool)
    for instance in shared.stack.unended():
        if instance.flavor == "gpu":
            shared.stack.stop(instance.user_name)


def is_running(platform: Platform, user: str) -> bool:
    instance = platform.instance(user)
    return instance is not None and instance.state == "running"


def seen_in(stack: Stack, user: str) -> dict[str, Any]:
    """What a notebook sees: the variable, the device files, whether it may use them, and the map of its users."""
    wait_usable(stack, user)

    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:
            notebook = Notebook(session, f"{stack.url}/user/{user}/", stack.user_token(user), "")
            return await notebook.ask(
                "{'visible': os.environ.get('NVIDIA_VISIBLE_DEVICES'), 'files': sorted(glob.glob('/dev/nvidia*')),"
                " 'written': [open(name, 'wb').write(b'x') for name in glob.glob('/dev/nvidia*')],"
                " 'users': open('/proc/self/uid_map').read().split()}",
                setup="import glob, os",
            )

    return dict(asyncio.run(ask()))


def test_all_gpus_are_used_and_further_starts_are_queued(platform: Platform, gpus: Gpus) -> None:
    stack = platform.stack
    people = [f"gpu{number}" for number in range(GPUS)]
    for user in (*people, "late"):
        stack.add_user(user)
    assert platform.flavor("late", "gpu")["available"] == GPUS + 1

    gpus.set_health(0, "unhealthy")
    gpus.wait_offered(GPUS - 1)
    for user in people[:-1]:
        answer = stack.start(user, flavor="gpu")
        assert answer.status_code in (201, 202), answer.headers
    for user in people[:-1]:
        eventually(lambda user=user: is_running(platform, user), seconds=60, what=f"{user}'s instance")
    assert platform.refused(people[-1], flavor="gpu").code == "queued", "one of them is unhealthy"
    gpus.set_health(0, "healthy")
    eventually(lambda: is_running(platform, people[-1]), seconds=60, what="its turn, once the device is healthy")

    seen = {user: seen_in(stack, user) for user in people}
    assert {one["visible"] for one in seen.values()} == {f"GPU-pretended-{number}" for number in range(GPUS)}
    for one in seen.values():
        assert one["files"] == [f"/dev/nvidia{one['visible'][-1]}"], "its own device and no other"
        assert one["written"] == [1]
        assert one["users"][:2] == ["0", "0"], "a flavor with a GPU keeps the node's users"
    for pod in platform.pods().values():
        if pod["metadata"]["labels"]["freepool/flavor"] == "gpu":
            (container,) = pod["spec"]["containers"]
            assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"

    began = time.monotonic()
    refused = platform.refused("late", flavor="gpu").in_words()
    print(f"\nthe next was told the truth after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < SCHEDULE_SECONDS + 10
    assert refused.code == "queued"
    assert refused.message.startswith("No server has capacity for gpu right now. You are number 1 in the queue.")
    assert "nvidia.com/gpu" in refused.details
    assert platform.flavor("late", "gpu")["available"] == 0, "the desk no longer promises it"
    platform.wait_for_order()
    assert sum(pod["metadata"]["labels"]["freepool/flavor"] == "gpu" for pod in platform.pods().values()) == GPUS

    platform.stop(people[0])
    eventually(lambda: is_running(platform, "late"), seconds=60, what="the turn of the one that waited")
    assert seen_in(stack, "late")["visible"] == seen[people[0]]["visible"], "the device that was freed"
    for user in (*people[1:], "late"):
        platform.stop(user)
    eventually(
        lambda: not any(instance.flavor == "gpu" for instance in stack.unended()), seconds=60, what="the end of all"
    )
    platform.wait_for_order(all_over=True)


def test_nothing_is_left_for_the_next_user_of_the_device(
    shared: Cluster, gpus: Gpus, pytestconfig: pytest.Config
) -> None:
    """One way of the matrix (`test_wiped.py`) with the node's users, which flavors with a GPU keep."""
    with tenant_on(Pods(shared), "gpu-tenant", flavor="gpu") as tenant:
        with tenant.loses_everything("REST stop, start, GPU", EndReason.STOPPED):
            assert tenant.stack.stop(tenant.name).status_code in (202, 204)
        show(pytestconfig, tenant.rows)


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "huawei.com/Ascend910", "amd.com/gpu", "nvidia.com/mig-1g.5gb"])
def test_the_resource_is_what_the_catalog_says(resource: str) -> None:
    accelerator = Accelerator.model_validate({"name": "One", "memory": "24GiB", "count": 2, "resource": resource})
    wanted = spec(flavor=SMALL.model_copy(update={"accelerator": accelerator, "cpu": 2}))
    (container,) = make_manifest(wanted, KubernetesPool(namespace="pool"))["spec"]["containers"]
    for part in ("limits", "requests"):
        assert {name: value for name, value in container["resources"][part].items() if "/" in name} == {resource: "2"}
    assert container["resources"]["requests"]["cpu"] in (2, "2", "2000m"), "it must not wait for data"
