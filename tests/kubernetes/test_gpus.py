"""Shapes with an accelerator: lent as long as the cluster has one, and the truth told after that.

The GPUs are pretended: scheduler and quota count them, and nothing here looks for a device.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spawner.catalog import Accelerator
from spawner.pool.kube.manifest import make_manifest
from spawner.settings import KubernetesPool
from tests.backends.conformance import SMALL, spec
from tests.kubernetes.admin import script
from tests.kubernetes.conftest import PoolNamespace, write_settings
from tests.kubernetes.order import Platform
from tests.stack import eventually, running_stack

GPUS = 4
SCHEDULE_SECONDS = 4
TEXT = {"en": "a text", "zh": "文字"}


def change(data: dict[str, Any]) -> None:
    """One shape with a GPU; the catalog promises one more than there are."""
    data["flavors"] = [
        {
            "id": "gpu",
            "title": TEXT,
            "summary": TEXT,
            "cpu": 0.1,  # on a small node it is the GPUs that shall be short
            "memory": "384MiB",
            "disk": "64MiB",
            "accelerator": {"name": "NVIDIA A10", "count": 1, "memory": "24GiB"},
            "limit": GPUS + 1,
        }
    ]
    data["images"] = data["images"][:1]
    data["examples"] = []
    data["defaults"] = {"flavor": "gpu", "image": "light"}
    data["limits"] |= {"schedule_seconds": SCHEDULE_SECONDS, "start_seconds": 120}


@pytest.fixture
def platform(pool_namespace: PoolNamespace, host_address: str) -> Iterator[Platform]:
    """A Freepool on a cluster with four GPUs; afterwards it has none."""
    folder = Path(tempfile.mkdtemp(prefix="freepool-"))
    pool_namespace.wait_empty()
    script("gpus", str(GPUS))
    try:
        settings = write_settings(folder, pool_namespace.settings, host_address, change)
        with running_stack(folder / "state", settings=settings) as stack:
            yield Platform(stack, pool_namespace)
    finally:
        script("gpus", "0")
        shutil.rmtree(folder, ignore_errors=True)


def is_running(platform: Platform, user: str) -> bool:
    loan = platform.loan(user)
    return loan is not None and loan.state == "running"


def test_as_many_as_there_are_and_the_truth_after_that(platform: Platform) -> None:
    stack = platform.stack
    people = [f"gpu{number}" for number in range(GPUS)]
    for user in (*people, "fifth"):
        stack.add_user(user)
    assert platform.flavor("fifth", "gpu")["available"] == GPUS + 1
    for user in people:
        answer = stack.start(user)
        assert answer.status_code in (201, 202), answer.headers
    for user in people:
        eventually(lambda user=user: is_running(platform, user), seconds=120, what=f"{user}'s instance")
    for pod in platform.pods().values():
        (container,) = pod["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"

    began = time.monotonic()
    refused = platform.refused("fifth").in_words()
    print(f"\nthe fifth was told the truth after {time.monotonic() - began:.1f} s")
    assert time.monotonic() - began < SCHEDULE_SECONDS + 10
    assert refused.code == "queued"
    assert refused.message.startswith("No machine has room for the shape gpu just now. You are number 1 in line.")
    assert "nvidia.com/gpu" in refused.details
    assert platform.flavor("fifth", "gpu")["available"] == 0, "the desk no longer promises it"
    platform.wait_for_order()
    assert len(platform.pods()) == GPUS

    platform.stop(people[0])
    eventually(lambda: is_running(platform, "fifth"), seconds=180, what="the turn of who waited, without a word")
    for user in (*people[1:], "fifth"):
        platform.stop(user)
    eventually(lambda: not stack.unended(), seconds=60, what="the end of all")
    platform.wait_for_order(all_over=True)


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "huawei.com/Ascend910", "amd.com/gpu", "nvidia.com/mig-1g.5gb"])
def test_the_resource_is_what_the_catalog_says(resource: str) -> None:
    accelerator = Accelerator.model_validate({"name": "One", "memory": "24GiB", "count": 2, "resource": resource})
    wanted = spec(flavor=SMALL.model_copy(update={"accelerator": accelerator, "cpu": 2}))
    (container,) = make_manifest(wanted, KubernetesPool(namespace="pool"))["spec"]["containers"]
    for part in ("limits", "requests"):
        assert {name: value for name, value in container["resources"][part].items() if "/" in name} == {resource: "2"}
    assert container["resources"]["requests"]["cpu"] in (2, "2", "2000m"), "it must not wait for data"
