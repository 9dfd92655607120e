"""The pod manifest of a slot. Pure.

`kubespawner.objects.make_pod` makes the common fields of a notebook pod. The fields that protect the platform and its
users are set last, over those of the catalog, so that no catalog can remove them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubernetes_asyncio.client import ApiClient
from kubespawner.objects import make_pod

from spawner.catalog import Flavor
from spawner.instance.agent import ORDERS_VARIABLE
from spawner.instance.arguments import server_arguments
from spawner.instance.features import (
    MODELS,
    NOTEBOOK_PORT,
    RUNTIME,
    SHARED_MEMORY,
    TEMPORARY,
    WORKSPACE,
    PlaceSizes,
    place_sizes,
    thread_variables,
)
from spawner.instance.sealing import HEALTH_PATH
from spawner.pool.backends.base import SlotSpec
from spawner.pool.backends.kubernetes.pod_ends import PRESTOP_MARK
from spawner.settings import KubernetesPool

SLOT_LABEL = "freepool/slot"
ASSIGNED_LABEL, OLD_ASSIGNED_LABEL = "freepool/assigned", "freepool/lent"
"""On each pod that is, or will be, assigned to a user, and on no other: the chart's PodDisruptionBudgets select it.

The old name is written as well for one release, for selectors of other programs and for a downgrade; a pod from before
the upgrade has the old name alone.
"""
ASSIGNED, AWAITED = "true", "awaited"
"""Its values: assigned, with a deadline; created for a start that waits for it."""
OURS = {"app.kubernetes.io/name": "freepool", "app.kubernetes.io/component": "instance"}
SELECTOR = ",".join(f"{name}={value}" for name, value in OURS.items())
EVICTABLE = "cluster-autoscaler.kubernetes.io/safe-to-evict"
CONTAINER = "notebook"
PORT = NOTEBOOK_PORT
HOME = "/home/jovyan"
EXAMPLES = "/opt/freepool/examples"
USER_ID = 1000
"""User and group ids of every instance, as in the Jupyter images."""
LOG_ROOM = 256 * 1024 * 1024
SMALLEST_CPU_REQUEST = 0.05
CPU_SHARE = 8
"""Notebooks are idle most of the time, so the processor request is the limit divided by this."""
START_PROBES = 600
"""Seconds after which the kubelet kills a container that does not answer yet; the pool gives up sooner."""
AWAY_SECONDS = 60
"""How long a pod stays on an unreachable node before Kubernetes evicts it."""


def assigned_labels(value: str) -> dict[str, str]:
    """Labels of a pod that is `ASSIGNED` or `AWAITED`, under both names."""
    return {ASSIGNED_LABEL: value, OLD_ASSIGNED_LABEL: value}


def is_assigned(labels: Mapping[str, str]) -> bool:
    """Whether the labels of a pod say that it is assigned to a user, under either name."""
    return ASSIGNED in (labels.get(ASSIGNED_LABEL), labels.get(OLD_ASSIGNED_LABEL))


def pod_name(slot_id: str) -> str:
    """The name of a slot's pod."""
    return f"freepool-{slot_id}"


def sizes_of(flavor: Flavor) -> PlaceSizes:
    """Bytes of the places that one instance may write to."""
    return place_sizes(memory=int(flavor.memory), disk=int(flavor.disk))


def ephemeral_storage(flavor: Flavor) -> int:
    """Bytes of ephemeral storage of one instance, its log included."""
    sizes = sizes_of(flavor)
    return sizes.workspace + sizes.home + sizes.temporary + LOG_ROOM


def cpu_request(flavor: Flavor) -> float:
    """The processor request of one instance. With an accelerator it is the limit: data loading must not slow it."""
    if flavor.accelerator is not None:
        return flavor.cpu
    return max(SMALLEST_CPU_REQUEST, flavor.cpu / CPU_SHARE)


def resources(flavor: Flavor) -> tuple[dict[str, str], dict[str, str]]:
    """The resource requests and limits of one instance."""
    requests = {
        "cpu": _cpu(cpu_request(flavor)),
        "memory": str(flavor.reserved),
        "ephemeral-storage": str(64 * 1024 * 1024),
    }
    limits = {
        "cpu": _cpu(flavor.cpu),
        "memory": str(int(flavor.memory)),
        "ephemeral-storage": str(ephemeral_storage(flavor)),
    }
    if flavor.accelerator is not None:
        requests[flavor.accelerator.resource] = limits[flavor.accelerator.resource] = str(flavor.accelerator.count)
    return requests, limits


def _cpu(processors: float) -> str:
    return f"{round(processors * 1000)}m"


def make_manifest(spec: SlotSpec, pool: KubernetesPool) -> dict[str, Any]:
    """The pod of a slot, as JSON."""
    flavor, image = spec.flavor, spec.image
    requests, limits = resources(flavor)
    pod = make_pod(
        name=pod_name(spec.id),
        cmd=None if image.agent else list(image.command),
        port=PORT,
        image=image.reference,
        image_pull_policy=pool.pull_policy,
        image_pull_secrets=list(pool.pull_secrets) or None,
        node_selector=dict(flavor.pod.node_selector),
        tolerations=[*flavor.pod.tolerations, *_patience()],
        env={name: _literally(value) for name, value in _environment(spec).items()},
        working_dir=WORKSPACE,
        volumes=_volumes(flavor, pool),
        volume_mounts=_mounts(pool),
        labels={
            **OURS,
            SLOT_LABEL: spec.id,
            "freepool/flavor": flavor.id,
            "freepool/image": image.id,
            **(assigned_labels(AWAITED) if spec.awaited else {}),
        },
        annotations={EVICTABLE: "false" if spec.awaited else "true"},
        cpu_limit=limits.pop("cpu"),
        cpu_guarantee=requests.pop("cpu"),
        mem_limit=limits.pop("memory"),
        mem_guarantee=requests.pop("memory"),
        extra_resource_limits=limits,
        extra_resource_guarantees=requests,
        priority_class_name=pool.priority_class if spec.awaited else pool.warm_priority_class,
    )
    # The client's own serialization of its models; it needs no connection.
    manifest: dict[str, Any] = ApiClient.sanitize_for_serialization(ApiClient.__new__(ApiClient), pod)
    body = _merge(manifest["spec"], flavor.pod.extra)
    container = next(one for one in body["containers"] if one["name"] == CONTAINER)
    container["ports"] = [{"name": CONTAINER, "containerPort": PORT}]
    container["startupProbe"] = _startup_probe(spec)
    # The last log lines are in the pod's status, so Freepool needs no right to read logs.
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    if not image.agent:
        say_it = f"echo '{PRESTOP_MARK}' > /dev/termination-log"
        container["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", say_it]}}}
    if flavor.pod.runtime_class is not None:
        body["runtimeClassName"] = flavor.pod.runtime_class
    manifest["spec"] = harden(body)
    if flavor.pod.host_users is not None:
        manifest["spec"]["hostUsers"] = flavor.pod.host_users
    elif spec.user_namespace:
        manifest["spec"]["hostUsers"] = False
    return manifest


def harden(body: dict[str, Any]) -> dict[str, Any]:
    """Set the protecting fields of a pod's spec over existing ones: Pod Security "restricted", and more."""
    for container in [*body["containers"], *body.get("initContainers", [])]:
        container["securityContext"] = {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        container.pop("volumeDevices", None)
    body["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    # A container restarted in its pod would find old files: emptyDir and /dev/shm belong to the pod.
    body["restartPolicy"] = "Never"
    body["terminationGracePeriodSeconds"] = 1
    body["automountServiceAccountToken"] = False
    body["enableServiceLinks"] = False
    for namespace in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        body[namespace] = False
    for name in ("ephemeralContainers", "serviceAccountName", "serviceAccount"):
        body.pop(name, None)
    return body


def _environment(spec: SlotSpec) -> dict[str, str]:
    flavor = spec.flavor
    common = {"HOME": HOME, **thread_variables(int(flavor.cpu))}
    if not spec.image.agent:
        return {**common, **spec.environment}
    orders = {
        "slot_id": spec.id,
        "key": spec.key.hex(),
        "root": WORKSPACE,
        "arguments": server_arguments(WORKSPACE),
        "examples_from": EXAMPLES,
        "examples": list(spec.examples),
        "handed": {"memory": int(flavor.memory), "disk": int(flavor.disk), "cpu": flavor.cpu},
        "port": PORT,
    }
    return {**common, "JUPYTER_RUNTIME_DIR": RUNTIME, ORDERS_VARIABLE: json.dumps(orders)}


def _literally(value: str) -> str:
    """Escape `$(NAME)`, which Kubernetes would expand."""
    return value.replace("$(", "$$(")


PLACES = {"workspace": WORKSPACE, "home": HOME, "tmp": TEMPORARY, "shm": SHARED_MEMORY, "runtime": RUNTIME}
"""Volumes of an instance, and where they are mounted."""
IN_MEMORY = ("shm", "runtime")
"""These count against the memory limit. Data loaders share memory between processes in shm."""


def _volumes(flavor: Flavor, pool: KubernetesPool) -> list[dict[str, Any]]:
    sizes = sizes_of(flavor).by_path(HOME)
    own = [
        {
            "name": name,
            "emptyDir": {**({"medium": "Memory"} if name in IN_MEMORY else {}), "sizeLimit": str(sizes[path])},
        }
        for name, path in PLACES.items()
    ]
    models = models_volume(pool)
    return [*own, models] if models else own


def _mounts(pool: KubernetesPool) -> list[dict[str, Any]]:
    own: list[dict[str, Any]] = [{"name": name, "mountPath": path} for name, path in PLACES.items()]
    return [*own, {"name": MODELS_VOLUME, "mountPath": MODELS, "readOnly": True}] if models_volume(pool) else own


MODELS_VOLUME = "models"


def models_volume(pool: KubernetesPool) -> dict[str, Any] | None:
    """The volume of the model cache, which no pod can write to; None where there is none."""
    if pool.models_claim is not None:
        return {
            "name": MODELS_VOLUME,
            "persistentVolumeClaim": {"claimName": pool.models_claim, "readOnly": True},
        }
    if pool.models_image is not None:
        image = {"reference": pool.models_image, "pullPolicy": pool.pull_policy}
        return {"name": MODELS_VOLUME, "image": image}
    return None


def _patience() -> list[dict[str, Any]]:
    return [
        {"key": f"node.kubernetes.io/{trouble}", "operator": "Exists", "effect": "NoExecute",
         "tolerationSeconds": AWAY_SECONDS}
        for trouble in ("not-ready", "unreachable")
    ]  # fmt: skip


def _startup_probe(spec: SlotSpec) -> dict[str, Any]:
    """A startup probe only: later probes would cost each instance processor time."""
    asks: dict[str, Any] = {"httpGet": {"path": HEALTH_PATH, "port": PORT}}
    if not spec.image.agent:
        asks = {"tcpSocket": {"port": PORT}}
    return {**asks, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": START_PROBES}


def _merge(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Add fields in place: mappings are merged, lists are extended, other values are replaced."""
    merged = dict(body)
    for name, value in extra.items():
        there = merged.get(name)
        if isinstance(there, dict) and isinstance(value, Mapping):
            merged[name] = _merge(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            merged[name] = [*there, *value]
        else:
            merged[name] = value
    return merged
