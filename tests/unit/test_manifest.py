"""Every pod has the fields that protect the platform and its users, whatever the catalog says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spawner.catalog import OURS_TO_DECIDE, Accelerator, Flavor, Image, PodFields, Text
from spawner.instance.features import thread_variables
from spawner.pool.backends.base import SlotSpec
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.pool.backends.kubernetes.manifest import (
    ASSIGNED,
    ASSIGNED_LABEL,
    AWAITED,
    OLD_ASSIGNED_LABEL,
    SLOT_LABEL,
    ephemeral_storage,
    harden,
    make_manifest,
    resources,
)
from spawner.pool.backends.kubernetes.pod_ends import PRESTOP_MARK
from spawner.pool.backends.kubernetes.pods import read_pod
from spawner.pool.templates import version_of
from spawner.settings import KubernetesPool
from tests.unit import make
from tests.unit.make import GIB, quick

POOL = KubernetesPool(namespace="pool", priority_class="for-people", warm_priority_class="waiting")
WRITABLE = {"/mnt/workspace", "/home/jovyan", "/tmp", "/dev/shm", "/mnt/jupyter"}
words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
extras = st.dictionaries(
    words | st.sampled_from(["affinity", "dnsConfig", "topologySpreadConstraints", "volumes"]),
    st.none(),
    max_size=3,
).map(
    lambda chosen: {
        name: [{"name": "data", "persistentVolumeClaim": {"claimName": "sets", "readOnly": True}}]
        if name == "volumes"
        else {"nameservers": ["1.1.1.1"]}
        for name in chosen
    }
)
flavors = st.builds(
    make.flavor,
    cpu=st.floats(0.1, 64),
    memory=st.integers(GIB // 4, 512 * GIB),
    disk=st.integers(1, 4000 * GIB),
    reserve=st.none() | st.integers(1, GIB // 4),
    accelerator=st.none()
    | st.builds(
        Accelerator,
        name=words,
        count=st.integers(1, 16),
        memory=st.just(GIB),
        resource=st.sampled_from(["nvidia.com/gpu", "huawei.com/Ascend910", "amd.com/gpu"]),
    ),
    pod=st.builds(
        PodFields,
        node_selector=st.dictionaries(words, words, max_size=2),
        tolerations=st.lists(st.just({"key": "gpu", "operator": "Exists"}), max_size=2).map(tuple),
        runtime_class=st.none() | st.sampled_from(["gvisor", "kata"]),
        host_users=st.none() | st.booleans(),
        extra=extras,
    ),
)
images = st.builds(
    Image,
    id=st.just("image"),
    title=st.just(make.TEXT),
    summary=st.just(make.TEXT),
    reference=words,
    agent=st.booleans(),
    command=st.lists(words, min_size=1, max_size=3).map(tuple),
)


def spec(flavor: Flavor | None = None, image: Image | None = None, **changes: Any) -> SlotSpec:
    chosen = image or Image(id="image", title=make.TEXT, summary=make.TEXT, reference="freepool/light:1")
    return replace(SlotSpec("s1", flavor or make.flavor(), chosen, b"k" * 32), **changes)


def check_protected(pod: dict[str, Any]) -> None:
    """Assert all protecting fields of a pod."""
    body = pod["spec"]
    assert body["restartPolicy"] == "Never"
    assert body["automountServiceAccountToken"] is False
    assert body["enableServiceLinks"] is False
    assert "serviceAccountName" not in body
    assert not any(body[name] for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"))
    assert body["securityContext"]["runAsNonRoot"] is True
    assert body["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert body["terminationGracePeriodSeconds"] == 1
    (container,) = body["containers"]
    context = container["securityContext"]
    assert context["runAsUser"] > 0
    assert context["runAsNonRoot"] is True
    assert context["privileged"] is context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for name in ("cpu", "memory", "ephemeral-storage"):
        assert container["resources"]["limits"][name]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts.keys() == WRITABLE
    volumes = {volume["name"]: volume for volume in body["volumes"]}
    for name in mounts.values():
        assert int(volumes[name]["emptyDir"]["sizeLimit"]) > 0
    for volume in volumes.values():
        assert "hostPath" not in volume
        assert volume.get("persistentVolumeClaim", {"readOnly": True})["readOnly"] is True


@quick
@given(flavors, images, st.booleans())
def test_every_manifest_has_all_protecting_fields(flavor: Flavor, image: Image, awaited: bool) -> None:
    pod = make_manifest(spec(flavor, image, awaited=awaited), POOL)
    check_protected(pod)
    (container,) = pod["spec"]["containers"]
    assert container["startupProbe"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert pod["metadata"]["labels"][SLOT_LABEL] == "s1"
    assert pod["spec"]["priorityClassName"] == ("for-people" if awaited else "waiting")
    assert json.loads(json.dumps(pod)) == pod
    if flavor.accelerator is not None:
        limit = container["resources"]["limits"][flavor.accelerator.resource]
        assert limit == container["resources"]["requests"][flavor.accelerator.resource] == str(flavor.accelerator.count)


def test_a_pod_is_labelled_as_awaited_or_as_unassigned() -> None:
    """The chart's disruption budget selects by the label: `tests/helm/test_promises.py`."""
    labels = [make_manifest(spec(awaited=awaited), POOL)["metadata"]["labels"] for awaited in (True, False)]
    for name in (ASSIGNED_LABEL, OLD_ASSIGNED_LABEL):
        assert [found.get(name) for found in labels] == [AWAITED, None]


def test_an_awaited_pod_counts_as_assigned_only_once_its_deadline_is_set() -> None:
    """By the label's value the steward knows the pods whose deadline is missing."""
    made = make_manifest(spec(awaited=True), POOL)
    made["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    found = read_pod(made)
    assert found is not None
    assert not found.status.assigned
    for name in (ASSIGNED_LABEL, OLD_ASSIGNED_LABEL):  # a pod from before an upgrade has the old name alone
        labels = {key: value for key, value in made["metadata"]["labels"].items() if value != AWAITED}
        assigned = read_pod(made | {"metadata": made["metadata"] | {"labels": labels | {name: ASSIGNED}}})
        assert assigned is not None
        assert assigned.status.assigned, name


@pytest.mark.parametrize("field", sorted(OURS_TO_DECIDE))
def test_a_catalog_may_not_set_protecting_fields(field: str) -> None:
    with pytest.raises(ValidationError, match=f"may not set {field}"):
        PodFields(extra={field: True})


@pytest.mark.parametrize(
    "volume",
    [{"hostPath": {"path": "/"}}, {"persistentVolumeClaim": {"claimName": "x"}}, {"persistentVolumeClaim": {}}],
)
def test_a_catalog_may_not_mount_volumes_that_outlive_an_instance(volume: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="outlives an instance"):
        PodFields(extra={"volumes": [{"name": "x", **volume}]})


def test_protecting_fields_override_any_pod_body() -> None:
    """A second protection, for fields that the catalog's check misses."""
    hostile = {
        "containers": [
            {"name": "notebook", "securityContext": {"privileged": True}, "volumeDevices": [{"name": "x"}]},
        ],
        "initContainers": [{"name": "root", "securityContext": {"runAsUser": 0}}],
        "hostNetwork": True, "hostPID": True, "hostIPC": True, "restartPolicy": "Always",
        "serviceAccountName": "admin", "automountServiceAccountToken": True, "securityContext": {"runAsUser": 0},
        "ephemeralContainers": [{}],
    }  # fmt: skip
    body = harden(hostile)
    assert "ephemeralContainers" not in body
    assert "serviceAccountName" not in body
    for container in (*body["containers"], *body["initContainers"]):
        assert container["securityContext"]["privileged"] is False
        assert container["securityContext"]["runAsUser"] == 1000
        assert "volumeDevices" not in container
    assert body["restartPolicy"] == "Never"
    assert not body["hostNetwork"]


def test_the_agent_gets_its_orders_and_an_image_without_it_the_servers_environment() -> None:
    def variables(pod: dict[str, Any]) -> dict[str, str]:
        return {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}

    ours = make_manifest(spec(examples=("ocr",)), POOL)
    orders = json.loads(variables(ours)["FREEPOOL_ORDERS"])
    assert (orders["slot_id"], orders["key"], orders["examples"]) == ("s1", (b"k" * 32).hex(), ["ocr"])
    assert thread_variables(int(spec().flavor.cpu)).items() <= variables(ours).items()
    assert "args" not in ours["spec"]["containers"][0]
    stacks = Image(
        id="stacks", title=make.TEXT, summary=make.TEXT, reference="stacks", agent=False, command=("run", "it")
    )
    without_agent = make_manifest(spec(image=stacks, environment={"JUPYTERHUB_USER": "$(PATH)"}), POOL)
    assert variables(without_agent)["JUPYTERHUB_USER"] == "$$(PATH)", "Kubernetes must not fill anything in"
    assert "FREEPOOL_ORDERS" not in variables(without_agent)
    assert without_agent["spec"]["containers"][0]["args"] == ["run", "it"]


def test_a_container_without_the_agent_marks_its_end_by_the_node() -> None:
    """After exit code 0 only the hook tells a deletion from an end by itself: see `pod_ends.py`."""
    stacks = Image(id="stacks", title=make.TEXT, summary=make.TEXT, reference="stacks", agent=False)
    (container,) = make_manifest(spec(image=stacks), POOL)["spec"]["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == [
        "sh",
        "-c",
        f"echo '{PRESTOP_MARK}' > /dev/termination-log",
    ]
    (ours,) = make_manifest(spec(), POOL)["spec"]["containers"]
    assert "lifecycle" not in ours, "a stop waits for no hook"


def test_the_resource_requests_of_a_slot() -> None:
    requests, limits = resources(make.flavor(cpu=2, memory=2 * GIB, disk=GIB, reserve=GIB))
    assert (requests["cpu"], limits["cpu"]) == ("250m", "2000m")
    assert (requests["memory"], limits["memory"]) == (str(GIB), str(2 * GIB))
    assert limits["ephemeral-storage"] == str(GIB + GIB + GIB // 4)
    gpu = make.flavor(cpu=8, accelerator=Accelerator(name="A10", count=2, memory=GIB))
    assert resources(gpu)[0]["cpu"] == "8000m"
    assert ephemeral_storage(make.flavor(disk=1)) == 1 + 3 * GIB // 4


@pytest.mark.parametrize(
    "changes",
    [
        {"memory": "3GiB"},
        {"disk": "2GiB"},
        {"cpu": 1.5},
        {"reserve": "512MiB"},
        {"pod": {"tolerations": [{"key": "lab", "operator": "Exists"}]}},
        {"pod": {"runtime_class": "gvisor"}},
        {"pod": {"extra": {"schedulerName": "packing"}}},
    ],
)
def test_each_change_of_a_pod_changes_the_version_of_warm_slots(changes: dict[str, Any]) -> None:
    backend = KubernetesBackend(POOL)

    def version(**own: Any) -> str:
        catalog = make.catalog(make.flavor(**{"memory": 2 * 1024**3, "disk": 1024**3, "cpu": 2} | own))
        return version_of(catalog, backend, catalog.flavors[0], catalog.images[0])

    assert version() == version() != version(**changes)
    assert version(title=Text(en="Other", zh="其他"), warm=3, session_minutes=5) == version(), "not of the pod"
