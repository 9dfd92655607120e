"""Renders the chart without a cluster, with the Helm of the package helm-python-sdk."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

CHART = Path(__file__).parents[2] / "helm"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C implementation, if available
RELEASE, NAMESPACE, POOL = "freepool", "lab", "lab-pool"
Manifest = dict[str, Any]
Values = dict[str, Any]

GPU = {
    "id": "gpu-24g",
    "title": {"en": "GPU", "zh": "GPU"},
    "summary": {"en": "GPU", "zh": "GPU"},
    "cpu": 8,
    "memory": "32GiB",
    "disk": "50GiB",
    "accelerator": {"name": "NVIDIA A10", "count": 2, "memory": "24GiB"},
    "limit": 4,
    "pod": {
        "node_selector": {"accelerator": "a10"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "runtime_class": "nvidia",
    },
}

PAID: Values = {
    "settings": {
        "label": "freepool-7f3a90c2",
        "oauth": {"client_id": "4195410055503316452", "secret_file": "/srv/clouds/oauth"},
        "dsw": {
            "principal": "acs:ram::1000000000000001:role/freepool",
            "key_file": "/srv/clouds/dsw",
            "regions": {"cn-hangzhou": {"image": "image-abc123"}},
        },
    },
    "existingSecret": "cloud-keys",
}
KEEP: Values = {
    "catalog": {"keep": {"enabled": True}},
    "bundles": {
        "settings": {"endpoint": "https://oss-cn-hangzhou-internal.aliyuncs.com", "bucket": "freepool-bundles"},
        "existingSecret": "bundle-keys",
    },
}
"""Kept files in a bucket."""
MODELS: Values = {
    "models": {"enabled": True, "pull": {"environment": {"HF_ENDPOINT": "https://hf.example.org"}}},
    "catalog": {
        "models": [{"id": "qwen", "source": "modelscope", "repository": "Qwen/Tiny", "size": "1GiB", "licence": "MIT"}]
    },
}
"""A model cache, and the Job that fills it."""
ONE_OF_SEVERAL: Values = {
    "public": "https://b.lab.example.org/",
    "hubs": {"name": "b", "others": {"main": "https://a.lab.example.org/"}},
    "existingSecret": "freepool",
    "database": {"embedded": {"enabled": False}},
    "login": {"settings": {"kind": "github", "client_id": "b", "allowed_groups": ["lab"]}, "existingSecret": "login-b"},
    "proxy": {"tls": {"secretName": "tls-b"}},
}
"""A second hub on the pool of the hub `main`."""
APART: Values = {
    "public": "https://lab.example.org/",
    "hub": {"config": {"JupyterHub": {"subdomain_host": "https://lab.example.org"}}},
}
"""Further values that paid instances need: notebooks on subdomains."""

VALUE_SETS: dict[str, Values] = {
    "default": {},
    "kept files": KEEP,
    "external database": {
        "database": {"url": "postgresql+psycopg://freepool:word@db.example.org:5432/freepool"},
        "backup": {"enabled": True, "existingClaim": "dumps", "image": "registry.example.org/postgres:17"},
    },
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": ["lab.example.org", "*.lab.example.org"],
            "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "64m"},
            "tls": [{"secretName": "lab-tls", "hosts": ["lab.example.org", "*.lab.example.org"]}],
        }
    },
    "one of several hubs": ONE_OF_SEVERAL,
    "existing secret": {"existingSecret": "my-secrets", "database": {"embedded": {"enabled": False}}},
    "gpu": {
        "catalog": {"flavors": [GPU], "defaults": {"flavor": "gpu-24g", "image": "light"}},
        "imagePuller": {"tolerations": [{"key": "lab", "operator": "Exists"}]},
        "pool": {"placeholders": {"gpu-24g": 1}, "packing": True},
    },
    "models": MODELS | {"network": {"internet": {"nat64": "64:ff9b::/96"}}},
    "namespace that exists": {"pool": {"namespace": "notebooks", "createNamespace": False}},
    "hub of another chart": {"existingHub": {"enabled": True}},
    "as little as possible": {
        "database": {"embedded": {"persistence": {"enabled": False}}},
        "pool": {
            "quota": {"enabled": False},
            "limitRange": {"enabled": False},
            "podDisruptionBudget": {"enabled": False},
        },
        "platform": {"podDisruptionBudget": {"enabled": False}},
        "priorityClasses": {"create": False},
        "imagePuller": {"enabled": False},
        "network": {"policies": False},
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": "made-by-hand"},
    },
    "as much as possible": {
        "public": "https://lab.example.org/",
        "fullnameOverride": "loans",
        "image": {"registry": "registry.example.org/", "tag": "1.2.3", "pullPolicy": "Always", "pullSecrets": ["pull"]},
        "database": {"embedded": {"persistence": {"enabled": True, "storageClass": "fast", "size": "9Gi"}}},
        "hub": {
            "config": {
                "JupyterHub": {"authenticator_class": "dummy", "subdomain_host": "https://lab.example.org"},
                "Authenticator": {"admin_users": ["ann"]},
            },
            "extraConfig": "c.JupyterHub.shutdown_on_logout = True\n",
            "extraEnv": [{"name": "TZ", "value": "Asia/Shanghai"}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
            "podLabels": {"team": "lab"},
            "podAnnotations": {"note": "hub"},
        },
        "desk": {
            "replicas": 2,
            "extraEnv": [{"name": "TZ", "value": "UTC"}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        },
        "steward": {"replicas": 2, "nodeSelector": {"disk": "fast"}},
        "backup": {"enabled": True, "existingClaim": "dumps", "timeZone": "Asia/Shanghai", "podLabels": {"a": "b"}},
        "paid": PAID,
        "proxy": {
            "service": {
                "type": "LoadBalancer",
                "nodePort": 30080,
                "annotations": {"lb": "internal"},
                "loadBalancerIP": "203.0.113.1",
                "loadBalancerSourceRanges": ["203.0.113.0/24"],
            },
            "extraArgs": ["--custom-header=X-Lab:yes"],
            "extraEnv": [{"name": "TZ", "value": "UTC"}],
        },
        "platform": {
            "nodeSelector": {"pool": "core"},
            "tolerations": [{"key": "core", "operator": "Exists"}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
            ],
            "affinity": {"nodeAffinity": {}},
            "podLabels": {"owner": "lab"},
            "podDisruptionBudget": {"maxUnavailable": "50%"},
        },
        "pool": {
            "gpuMetricsUrl": "http://dcgm-exporter.gpu:9400/metrics",
            "pullSecrets": ["pull"],
            "quota": {"hard": {"pods": "3", "count/services": "0"}},
        },
        "imagePuller": {"images": ["light"], "nodeSelector": {"notebooks": "yes"}},
        "network": {
            "internet": {"refusePorts": [25, 22, 6667, 65535], "alsoRefuseIPv4": ["203.0.113.0/24"]},
            "extraEgress": [
                {"to": [{"ipBlock": {"cidr": "10.9.8.7/32"}}], "ports": [{"protocol": "TCP", "port": 443}]}
            ],
        },
        "serviceAccount": {"annotations": {"role": "lab"}},
        "guard": {"settings": {"stop_after_minutes": 60, "ports": [3334]}, "podMetrics": True},
    },
}


def render(values: Values | None = None, *, namespace: str = NAMESPACE) -> list[Manifest]:
    """Everything that an installation with these values applies, hooks included.

    Equal values are rendered once: the secrets, which are new with each rendering, are then equal, too.
    """
    return copy.deepcopy(_rendered(json.dumps(values or {}, sort_keys=True), namespace))


@lru_cache(maxsize=64)
def _rendered(values: str, namespace: str) -> list[Manifest]:
    files = _chart().render(json.loads(values), name=RELEASE, namespace=namespace, is_install=True)
    return [
        manifest
        for name, text in files.items()
        if not name.endswith("NOTES.txt")
        for manifest in yaml.load_all(text, Loader=LOADER)
        if manifest
    ]


def notes(values: Values | None = None) -> str:
    """The rendered NOTES.txt."""
    return _chart().render(values or {}, name=RELEASE, namespace=NAMESPACE)["freepool/templates/NOTES.txt"]


@cache
def _chart() -> helm.Chart:
    return helm.Chart.load(CHART)


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    """Objects of these kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def manifest_of(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The manifest with this kind and name."""
    (found,) = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Labels and spec of each of the chart's pods, with its component."""
    for manifest in of_kind(manifests, "Deployment", "DaemonSet", "Pod", "Job", "CronJob"):
        spec = manifest["spec"]
        pod = manifest if manifest["kind"] == "Pod" else spec.get("jobTemplate", manifest)["spec"]["template"]
        yield pod["metadata"]["labels"]["app.kubernetes.io/component"], pod


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod, init containers included."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def decoded(secret: Manifest) -> dict[str, str]:
    """A Secret's decoded data."""
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def proxy_options(manifests: list[Manifest]) -> dict[str, Any]:
    """The options of the proxy's starter."""
    (container,) = manifest_of(manifests, "Deployment", f"{RELEASE}-proxy")["spec"]["template"]["spec"]["containers"]
    program, options = container["args"]
    assert program == "freepool-proxy"
    found: dict[str, Any] = json.loads(options)
    return found


def settings_of(manifests: list[Manifest], name: str = RELEASE) -> Manifest:
    """The settings that all processes read."""
    found: Manifest = yaml.safe_load(manifest_of(manifests, "ConfigMap", name)["data"]["settings.yaml"])
    return found
