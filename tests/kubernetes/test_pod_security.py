"""Pod Security "restricted" holds in the pool's namespace: the server refuses what it forbids, and takes ours."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from spawner.catalog import Accelerator, Flavor
from spawner.pool.backends.kubernetes.manifest import make_manifest
from spawner.settings import KubernetesPool
from tests.backends.conformance import SMALL, spec
from tests.helm.chart import of_kind, render
from tests.kubernetes.admin import Admin
from tests.kubernetes.conftest import PoolNamespace, namespace_object

Json = dict[str, Any]


def offer(admin: Admin, namespace: str, pod: Json) -> tuple[bool, str]:
    """Whether the server would take a pod, and what it says, warnings included. Nothing is made."""
    command = admin.command("create", "-n", namespace, "--dry-run=server", "-f", "-")
    done = subprocess.run(command, input=json.dumps(pod), capture_output=True, text=True, check=False, timeout=60)
    return done.returncode == 0, done.stderr.strip()


def pod_with(change: Json, container: Json | None = None) -> Json:
    """A pod of ours, changed as an administrator of the pool's own account might."""
    pod = make_manifest(spec(), KubernetesPool(namespace="pool"))
    pod["spec"].update(change)
    pod["spec"]["containers"][0]["securityContext"].update(container or {})
    return pod


ROOT = {"runAsUser": 0, "runAsNonRoot": False}
REFUSED = {
    "privileged": (pod_with({}, {"privileged": True, "allowPrivilegeEscalation": True}), "privileged"),
    "escalation": (pod_with({}, {"allowPrivilegeEscalation": True}), "allowPrivilegeEscalation != false"),
    "host path": (pod_with({"volumes": [{"name": "x", "hostPath": {"path": "/"}}], "containers": [
        {**pod_with({})["spec"]["containers"][0], "volumeMounts": []}]}), "hostPath"),
    "root": (pod_with({"securityContext": {"runAsUser": 0}}, ROOT), "runAsNonRoot != true"),
    "capabilities": (pod_with({}, {"capabilities": {"add": ["SYS_ADMIN"]}}), "unrestricted capabilities"),
    "no seccomp": (pod_with({}, {"seccompProfile": {"type": "Unconfined"}}), "seccompProfile"),
    "host network": (pod_with({"hostNetwork": True}), "host namespaces"),
    "host processes": (pod_with({"hostPID": True}), "host namespaces"),
    "host IPC": (pod_with({"hostIPC": True}), "host namespaces"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_server_refuses_a_forbidden_field(name: str, pool_namespace: PoolNamespace) -> None:
    pod, word = REFUSED[name]
    taken, said = offer(pool_namespace.admin, pool_namespace.name, pod)
    assert not taken
    assert 'violates PodSecurity "restricted' in said
    assert word in said
    taken, said = offer(pool_namespace.admin, "default", pod)
    assert taken, f"it is the namespace's label that refuses it: {said}"


GPU = Accelerator.model_validate({"name": "NVIDIA A10", "memory": "24GiB"})
OURS: dict[str, Flavor] = {
    "plain": SMALL,
    "in a user namespace": SMALL.model_copy(update={"pod": SMALL.pod.model_copy(update={"host_users": False})}),
    "with a GPU": SMALL.model_copy(update={"accelerator": GPU, "cpu": 2}),
    "with all that a catalog may add": SMALL.model_copy(
        update={
            "pod": SMALL.pod.model_copy(
                update={
                    "extra": {
                        "hostNetwork": True,
                        "securityContext": {"runAsUser": 0},
                        "initContainers": [{"name": "first", "image": "one", "securityContext": {"privileged": True}}],
                    }
                }
            )
        }
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_the_server_accepts_our_pods_without_a_warning(name: str, pool_namespace: PoolNamespace) -> None:
    pod = make_manifest(spec(flavor=OURS[name]), pool_namespace.settings)
    assert offer(pool_namespace.admin, pool_namespace.name, pod) == (True, "")


def test_the_labels_are_those_of_the_chart() -> None:
    (chart,) = of_kind(render(), "Namespace")
    ours = namespace_object("any")["metadata"]["labels"]
    assert ours.items() <= chart["metadata"]["labels"].items()
