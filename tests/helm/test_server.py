"""A real API server accepts everything that the chart renders without a warning, in a dry run.

Both namespaces have Pod Security "restricted" here, and the server looks at the pods of Deployments, too.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from tests.helm.chart import VALUE_SETS, Manifest, Values, of_kind, render
from tests.kubernetes.admin import Admin
from tests.kubernetes.conftest import namespace_object

CLUSTER_WIDE = ("Namespace", "PriorityClass")
LABELS = {"app": "odd"}


@pytest.fixture(scope="module")
def namespace(admin: Admin) -> Iterator[str]:
    """The release's namespace; the pool's is beside it. The priority classes of the pods must exist."""
    name = f"freepool-trial-{secrets.token_hex(3)}"
    classes = of_kind(render(namespace=name), "PriorityClass")
    admin.apply(namespace_object(name), namespace_object(f"{name}-pool"), *classes)
    try:
        yield name
    finally:
        admin.kubectl("delete", "namespace", name, f"{name}-pool", "--wait=false")
        admin.kubectl("delete", "priorityclass", *(entry["metadata"]["name"] for entry in classes))


def try_to_apply(admin: Admin, namespace: str, manifests: list[Manifest]) -> tuple[int, str]:
    """Exit code, errors and warnings of a dry run."""
    for manifest in manifests:
        if manifest["kind"] not in CLUSTER_WIDE:
            manifest["metadata"].setdefault("namespace", namespace)  # as Helm does
    command = admin.command("apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors",
                            "-f", "-")  # fmt: skip
    given = json.dumps({"kind": "List", "apiVersion": "v1", "items": manifests})
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


def rendered(values: Values, namespace: str) -> list[Manifest]:
    """The chart with these values, in the namespaces that exist."""
    pool = values.get("pool", {})
    if "namespace" in pool:
        values = {**values, "pool": {**pool, "namespace": f"{namespace}-pool"}}
    manifests = render(values, namespace=namespace)
    assert manifests
    return manifests


def test_the_api_server_accepts_every_manifest_without_a_warning(admin: Admin, namespace: str) -> None:
    """All sets of values in one call, because each call of kubectl reads all schemas of the server. Nothing is made, so
    manifests of several sets may have one name."""
    every = [manifest for values in VALUE_SETS.values() for manifest in rendered(values, namespace)]
    together = try_to_apply(admin, namespace, every)
    if together != (0, ""):
        apart = {
            name: try_to_apply(admin, namespace, rendered(values, namespace)) for name, values in VALUE_SETS.items()
        }
        pytest.fail(f"{together[1]}\nby set of values: {apart}")


def test_the_api_server_refuses_invalid_manifests(admin: Admin, namespace: str) -> None:
    """An unknown field, an unrestricted pod, a removed kind: the test above can fail."""
    pod = {"containers": [{"name": "one", "image": "any"}]}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "odd"},
        "spec": {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": pod}},
    }  # fmt: skip
    code, output = try_to_apply(admin, namespace, [deployment])
    assert (code, "would violate PodSecurity" in output) == (1, True)
    typo = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "dato": {}}
    code, output = try_to_apply(admin, namespace, [typo])
    assert (code, 'unknown field "dato"' in output) == (1, True)
    old = {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "odd"}, "spec": {}}
    code, output = try_to_apply(admin, namespace, [old])
    assert (code, "no matches for kind" in output) == (1, True)
