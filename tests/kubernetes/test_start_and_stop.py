"""From a request to a notebook in a pod and back to nothing, through JupyterHub's own REST API."""

from __future__ import annotations

import asyncio

import aiohttp
import httpx

from spawner.ledger import Instance
from tests.backends.notebook import Notebook
from tests.kubernetes.conftest import PoolNamespace, wait_warm
from tests.stack import Stack, eventually


def test_a_pod_is_assigned_runs_code_and_is_gone_after_the_stop(
    kube_stack: Stack, pool_namespace: PoolNamespace
) -> None:
    wait_warm(kube_stack)
    kube_stack.add_user("ann")
    kube_stack.run("ann", flavor="waits", example="ocr")
    (instance,) = [instance for instance in kube_stack.unended() if instance.user_name == "ann"]
    pod = pool_namespace.admin.pods(pool_namespace.name)[f"freepool-{instance.slot_id}"]
    assert pod["metadata"]["labels"]["freepool/assigned"] == "true"
    assert pod["metadata"]["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert instance.ends_at is not None
    assert instance.usable_at is not None
    session = (instance.ends_at - instance.usable_at).total_seconds()
    longest = session + 2 * 3600 + 600  # with both extensions, and grace
    assert longest < pod["spec"]["activeDeadlineSeconds"] < longest + 1200, "the node is the last line of the limit"
    token = kube_stack.user_token("ann")
    assert asyncio.run(_run(kube_stack.url, token, "print(6 * 7)")) == "42"
    files = httpx.get(
        f"{kube_stack.url}/user/ann/api/contents/examples", headers={"Authorization": f"token {token}"}, timeout=30
    ).json()
    assert "ocr" in {entry["name"] for entry in files["content"]}
    assert kube_stack.stop("ann").status_code in (202, 204)
    eventually(
        lambda: pod["metadata"]["name"] not in pool_namespace.admin.pods(pool_namespace.name),
        seconds=60,
        what="the end of the pod",
    )
    assert not [instance for instance in kube_stack.unended() if instance.user_name == "ann"]


async def _run(url: str, token: str, code: str) -> str:
    async with aiohttp.ClientSession() as session:
        return (await Notebook(session, f"{url}/user/ann/", token, "").run(code)).strip()


def test_without_a_warm_pod_one_is_created(kube_stack: Stack) -> None:
    kube_stack.add_user("bob")
    assert kube_stack.start("bob", flavor="made").status_code in (201, 202)

    def instances_of_bob(state: str) -> list[Instance]:
        return [
            instance
            for instance in kube_stack.unended()
            if instance.user_name == "bob" and state in (instance.state, "")
        ]

    (instance,) = eventually(lambda: instances_of_bob("running"), seconds=60, what="a running pod")
    assert instance.flavor == "made"
    assert kube_stack.stop("bob").status_code in (202, 204)
    eventually(lambda: not instances_of_bob(""), seconds=60, what="its end")
