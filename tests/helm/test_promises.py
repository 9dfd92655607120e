"""What docs/kubernetes.md promises about rights, secrets and pods."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import yaml

from spawner.catalog import Flavor
from spawner.pool.backends.kubernetes.manifest import OLD_ASSIGNED_LABEL, OURS, assigned_labels, resources
from tests.helm.chart import (
    APART,
    KEEP,
    MODELS,
    NAMESPACE,
    PAID,
    POOL,
    RELEASE,
    VALUE_SETS,
    Values,
    containers,
    decoded,
    manifest_of,
    of_kind,
    pods,
    render,
    settings_of,
)
from tests.helm.test_chart import DEFAULTS
from tests.helm.test_quota import number

EVERY = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS.keys())
ROLE = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]}]
WITH_AN_ACCOUNT = {"hub", "steward"}


@EVERY
def test_the_only_right_is_pods_in_the_pools_namespace(values: Values) -> None:
    manifests = render(values)
    assert of_kind(manifests, "ClusterRole", "ClusterRoleBinding") == []
    roles, bindings = of_kind(manifests, "Role"), of_kind(manifests, "RoleBinding")
    if values.get("rbac") == {"create": False}:
        assert roles == bindings == []
        return
    (role,), (binding,) = roles, bindings
    reads_metrics = values.get("guard", {}).get("podMetrics", False)
    metrics = {"apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["list"]}
    assert role["rules"] == [*ROLE, *([metrics] if reads_metrics else [])]
    pool = values.get("pool", {}).get("namespace", POOL)
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == pool
    name = values.get("fullnameOverride", RELEASE)
    expected = [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]
    if values.get("existingHub"):
        expected.append({"kind": "ServiceAccount", "name": "hub", "namespace": NAMESPACE})
    assert binding["subjects"] == expected


@EVERY
def test_only_hub_and_steward_have_an_account(values: Values) -> None:
    for component, pod in pods(render(values)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is (component in WITH_AN_ACCOUNT), component
        assert ("serviceAccountName" in spec) is (component in WITH_AN_ACCOUNT), component
        assert spec.get("enableServiceLinks") is False, component


@EVERY
def test_every_pod_is_restricted(values: Values) -> None:
    """Each rule of Pod Security's profile "restricted", and a read-only root."""
    for component, pod in pods(render(values)):
        spec = pod["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), component
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 1000
        kinds = {next(iter(set(volume) - {"name"})) for volume in spec.get("volumes", [])}
        assert kinds <= {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"}, component
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert context["runAsNonRoot"] is True
            assert context["readOnlyRootFilesystem"] is True
            assert not {"privileged", "procMount", "seLinuxOptions"} & set(context)
            assert not any("hostPort" in port for port in container.get("ports", []))


@EVERY
def test_every_container_has_a_size(values: Values) -> None:
    for component, pod in pods(render(values)):
        for container in containers(pod):
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][kind]), (component, container["name"])


def test_services_have_probes() -> None:
    for component, pod in pods(render()):
        (container,) = pod["spec"]["containers"]
        if component in {"hub", "desk", "proxy"}:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), component
        if component == "steward":
            assert {"startupProbe", "livenessProbe"} <= set(container), "a rollout must not end a working one"
        if component == "postgres":
            assert {"startupProbe", "readinessProbe"} <= set(container)


def owns_pool(values: Values) -> bool:
    """Of several hubs, the release of the first has what the pool needs in the cluster."""
    return bool(values.get("hubs", {}).get("name", "main") == "main")


@EVERY
def test_the_pools_namespace_is_restricted(values: Values) -> None:
    namespaces = of_kind(render(values), "Namespace")
    if values.get("pool", {}).get("createNamespace") is False or not owns_pool(values):
        assert namespaces == []
        return
    (namespace,) = namespaces
    for mode in ("enforce", "audit", "warn"):
        assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"


WITH_SECRETS: Values = {
    "hub": {
        "config": {"GitHubOAuthenticator": {"client_secret": "secret-of-oauth"}},
        "extraConfig": "x = 'secret-of-extra'",
    },
    "database": {"url": "postgresql+psycopg://freepool:secret-of-db@db/freepool"},
    "steward": {"notifyUrl": "https://hooks.example.org/secret-of-webhook"},
}


@pytest.mark.parametrize("values", [{}, WITH_SECRETS], ids=["generated", "given"])
def test_secrets_are_in_secrets_only(values: Values) -> None:
    manifests = render(values)
    secrets = of_kind(manifests, "Secret")
    values_in_secrets = [value for secret in secrets for value in decoded(secret).values()]
    secret_values = {value for value in values_in_secrets if re.fullmatch("[0-9a-f]{64}", value)}
    assert len(secret_values) == 10 + (values == {}), (
        "slots, link, proxy, desk, steward, cookies, crypt-keys, people, channels, metrics, the database's"
    )
    secret_values |= {"secret-of-oauth", "secret-of-extra", "secret-of-db", "secret-of-webhook"}
    for manifest in manifests:
        if manifest["kind"] != "Secret":
            leaks = [value for value in secret_values if value in str(manifest)]
            assert leaks == [], manifest["metadata"]["name"]


@EVERY
def test_the_environment_holds_one_secret_by_reference(values: Values) -> None:
    """configurable-http-proxy reads its token only from the environment."""
    by_reference = {
        (component, variable["name"])
        for component, pod in pods(render(values))
        for container in containers(pod)
        for variable in container.get("env", [])
        if "valueFrom" in variable
    }
    assert by_reference <= {("proxy", "CONFIGPROXY_AUTH_TOKEN")}
    assert not any("envFrom" in container for _, pod in pods(render(values)) for container in containers(pod))


def test_each_pod_sees_only_the_secrets_that_it_reads() -> None:
    seen: dict[str, set[str]] = {}
    for component, pod in pods(render()):
        for volume in pod["spec"].get("volumes", []):
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
                seen[component] = {item["key"] for item in volume["secret"]["items"]}
    assert seen.pop("check") == seen["hub"], "it reads the hub's file, and ends"
    assert seen == {
        "hub": {"cookies", "desk", "ledger-url", "link", "people", "proxy", "slots", "steward"},
        "desk": {"desk", "ledger-url"},
        "steward": {"steward", "ledger-url", "slots"},
        "postgres": {"postgres-password"},
    }


def test_only_desk_and_steward_mount_the_cloud_keys() -> None:
    seen = {
        component: (volume["secret"]["defaultMode"], mount["mountPath"], mount["readOnly"])
        for component, pod in pods(render({"paid": PAID, **APART}))
        for volume in pod["spec"].get("volumes", [])
        if volume.get("secret", {}).get("secretName") == "cloud-keys"
        for container in containers(pod)
        for mount in container.get("volumeMounts", [])
        if mount["name"] == volume["name"]
    }
    assert seen == dict.fromkeys(("desk", "steward"), (0o440, "/srv/clouds", True))


def test_only_desk_and_steward_mount_the_key_of_the_bucket_for_kept_files() -> None:
    seen = {
        component: mount["mountPath"]
        for component, pod in pods(render(KEEP))
        for volume in pod["spec"].get("volumes", [])
        if volume.get("secret", {}).get("secretName") == "bundle-keys"
        for container in containers(pod)
        for mount in container.get("volumeMounts", [])
        if mount["name"] == volume["name"]
    }
    assert seen == dict.fromkeys(("desk", "steward"), "/srv/bundles")


def test_generated_secrets_have_the_form_that_the_programs_expect() -> None:
    secret = decoded(manifest_of(render(), "Secret", RELEASE))
    url = secret.pop("ledger-url")
    password = secret["postgres-password"]
    assert url == f"postgresql+psycopg://freepool:{password}@freepool-postgres.{NAMESPACE}.svc:5432/freepool"
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in secret.values())
    assert len(set(secret.values())) == len(secret)
    assert (
        decoded(manifest_of(render(WITH_SECRETS), "Secret", RELEASE))["ledger-url"] == WITH_SECRETS["database"]["url"]
    )


def test_an_existing_secret_is_used_and_none_is_generated() -> None:
    manifests = render(VALUE_SETS["existing secret"])
    assert [secret["metadata"]["name"] for secret in of_kind(manifests, "Secret")] == [
        "freepool-check",
        "freepool-hub",
    ]
    mounted = {
        volume["secret"]["secretName"]
        for _, pod in pods(manifests)
        for volume in pod["spec"].get("volumes", [])
        if "secret" in volume
    }
    assert mounted == {"my-secrets"}


def test_an_uninstall_keeps_the_trial_database_and_its_secret() -> None:
    kept = {
        (manifest["kind"], manifest["metadata"]["name"])
        for manifest in render()
        if (manifest["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {("Secret", "freepool"), ("PersistentVolumeClaim", "freepool-postgres")}


def test_a_claim_of_the_administrators_own_takes_the_place_of_each_claim_of_the_chart() -> None:
    values = {
        "database": {"embedded": {"persistence": {"existingClaim": "my-database"}}},
        "models": MODELS["models"] | {"existingClaim": "my-models"},
        "catalog": MODELS["catalog"],
        "backup": {"enabled": True, "existingClaim": "my-dumps"},
    }
    manifests = render(values)
    assert of_kind(manifests, "PersistentVolumeClaim") == []
    mounted = {
        (component, volume["persistentVolumeClaim"]["claimName"])
        for component, pod in pods(manifests)
        for volume in pod["spec"].get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    assert mounted == {("postgres", "my-database"), ("models", "my-models"), ("backup", "my-dumps")}


@pytest.mark.parametrize("name", ["1234", "2026-11-28", "true", "null"])
def test_a_name_that_yaml_reads_as_something_else_stays_a_name(name: str) -> None:
    values = {
        "existingSecret": name,
        "image": {"pullSecrets": [name]},
        "database": {"embedded": {"persistence": {"storageClass": name}}},
        "models": MODELS["models"] | {"existingClaim": name, "pull": {"existingSecret": name}},
        "catalog": MODELS["catalog"],
        "backup": {"enabled": True, "existingClaim": name},
        "pool": {"namespace": name, "schedulerName": name},
        "priorityClasses": {"create": False, "names": {"platform": name, "instance": name, "warm": name}},
        "serviceAccount": {"create": False, "name": name},
        "ingress": {"enabled": True, "className": name, "hosts": ["lab.example.org"]},
        "monitoring": {
            "namespaces": [name], "serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True},
        },
    }  # fmt: skip
    manifests = render(values)
    found: Counter[str] = Counter()
    waiting: list[Any] = [*manifests, settings_of(manifests), *map(yaml.safe_load, _texts(manifests))]
    while waiting:
        match waiting.pop():
            case dict() as mapping:
                for key, value in mapping.items():
                    if key in NAMES or key in ("name", "namespace", "app.kubernetes.io/instance"):
                        assert isinstance(value, str), (key, value)
                        found[key] += value == name
                waiting += mapping.values()
            case list() as items:
                waiting += items
    assert not [key for key in NAMES if not found[key]]


def _texts(manifests: list[Values]) -> list[str]:
    """Files of ConfigMaps that are YAML."""
    return [
        text
        for manifest in of_kind(manifests, "ConfigMap")
        for name, text in manifest["data"].items()
        if name.endswith(".yaml")
    ]


NAMES = {
    "claimName", "ingressClassName", "priorityClassName", "secretName", "serviceAccountName", "storageClassName",
    "schedulerName", "kubernetes.io/metadata.name", "models_claim", "priority_class", "warm_priority_class",
    "namespace",
}  # fmt: skip


def test_large_numbers_of_the_backup_are_written_as_numbers() -> None:
    """Helm reads them as floats, and 1e+06 is none for the API server, nor for the shell."""
    own = {"enabled": True, "existingClaim": "d", "keep": 2_000_000, "seconds": 1_000_000}
    job = manifest_of(render({"backup": own}), "CronJob", "freepool-backup")["spec"]["jobTemplate"]["spec"]
    assert job["activeDeadlineSeconds"] == 1_000_000
    assert {"name": "KEEP", "value": "2000000"} in job["template"]["spec"]["containers"][0]["env"]


def test_with_another_database_the_trial_database_is_not_installed() -> None:
    for values in (VALUE_SETS["external database"], VALUE_SETS["existing secret"]):
        assert [manifest for manifest in render(values) if "postgres" in manifest["metadata"]["name"]] == []


def test_there_is_only_one_hub_and_one_proxy_at_a_time() -> None:
    for name in ("freepool-hub", "freepool-proxy", "freepool-postgres"):
        spec = manifest_of(render(), "Deployment", name)["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    more = render(VALUE_SETS["as much as possible"])
    assert manifest_of(more, "Deployment", "loans-steward")["spec"]["replicas"] == 2


def test_no_notebook_preempts_another_pod() -> None:
    classes = {found["metadata"]["name"]: found for found in of_kind(render(), "PriorityClass")}
    assert set(classes) == {f"{POOL}-platform", f"{POOL}-instance", f"{POOL}-warm"}, "unique in the cluster"
    for name in (f"{POOL}-instance", f"{POOL}-warm"):
        assert classes[name]["preemptionPolicy"] == "Never"
        assert classes[name]["value"] < classes[f"{POOL}-platform"]["value"]
    assert classes[f"{POOL}-warm"]["value"] == classes[f"{POOL}-instance"]["value"]


AUTOSCALED: Values = {
    "pool": {
        "placeholders": {"cpu-basic": 3, "cpu-large": 1, "gpu-24g": 1},
        "packing": True,
        "schedulerName": "packer",
    },
    "catalogOverrides": {
        "flavors": {
            "cpu-large": {"pod": {"extra": {"affinity": {"nodeAffinity": {}}}}},
            "gpu-24g": {"pod": {"node_selector": {"gpu": "a10"}, "extra": {"affinity": {}}}},
        }
    },
}


def test_placeholders_hold_the_room_of_a_notebook_and_only_they_are_pushed_away() -> None:
    manifests = render(AUTOSCALED)
    classes = {found["metadata"]["name"]: found for found in of_kind(manifests, "PriorityClass")}
    over = {name for name, found in classes.items() if found.get("preemptionPolicy") == "PreemptLowerPriority"}
    assert over == {f"{POOL}-instance-over-placeholder", f"{POOL}-warm-over-placeholder"}, (
        "other names: the policy of a class that exists cannot be changed"
    )
    plain = [classes[f"{POOL}-{name}"]["preemptionPolicy"] for name in ("instance", "warm")]
    assert plain == ["Never", "Never"], "other hubs of the pool, and old pods during an upgrade, name these"
    assert {classes[name]["value"] for name in over} == {0}, "no notebook pushes another"
    assert classes[f"{POOL}-placeholder"]["value"] == -10
    pool = settings_of(manifests)["kubernetes"]
    assert {pool["priority_class"], pool["warm_priority_class"]} == over
    deployment = manifest_of(manifests, "Deployment", "freepool-placeholder-gpu-24g")["spec"]
    spec = deployment["template"]["spec"]
    assert (deployment["replicas"], spec["priorityClassName"]) == (1, f"{POOL}-placeholder")
    assert spec["nodeSelector"] == {"gpu": "a10"}
    (container,) = spec["containers"]
    flavor = Flavor.model_validate(DEFAULTS["catalog"]["flavors"][2])
    wanted = {name: number(amount) for name, amount in resources(flavor)[0].items()}
    assert {name: number(one) for name, one in container["resources"]["requests"].items()} == wanted
    basic = manifest_of(manifests, "Deployment", "freepool-placeholder-cpu-basic")["spec"]
    assert basic["replicas"] == 3
    assert basic["selector"]["matchLabels"].items() <= basic["template"]["metadata"]["labels"].items()
    assert basic["selector"] != deployment["selector"]
    large = manifest_of(manifests, "Deployment", "freepool-placeholder-cpu-large")["spec"]
    assert large["template"]["spec"]["affinity"] == {"nodeAffinity": {}}, "it lies on the nodes of its flavor"


def test_packed_notebooks_prefer_nodes_with_notebooks_unless_their_flavor_says_otherwise() -> None:
    catalog = yaml.safe_load(manifest_of(render(AUTOSCALED), "ConfigMap", RELEASE)["data"]["catalog.yaml"])
    flavors = {flavor["id"]: Flavor.model_validate(flavor).pod.extra for flavor in catalog["flavors"]}
    (term,) = flavors["cpu-basic"]["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"] == OURS
    assert flavors["gpu-24g"] == {"affinity": {}, "schedulerName": "packer"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pool": {"placeholders": {"cpu": 1}}}, "no such flavor. It has: cpu-basic, cpu-large, gpu-24g"),
        ({"pool": {"placeholders": {"cpu-basic": 1}}, "priorityClasses": {"warm": -1}}, "must be equal"),
        ({"pool": {"placeholders": {"cpu-basic": 1}}, "priorityClasses": {"placeholder": 0}}, "below them"),
        ({"pool": {"placeholders": {"cpu-basic": 1}}, "priorityClasses": {"create": False}}, r"names\.placeholder"),
    ],
)
def test_placeholders_that_would_harm_are_refused(values: Values, words: str) -> None:
    with pytest.raises(Exception, match=words):
        render(values)


def selects(selector: Values, labels: dict[str, str]) -> bool:
    """Whether the expressions of a label selector, each `Exists` or `DoesNotExist`, hold for these labels."""
    return all((each["operator"] == "Exists") == (each["key"] in labels) for each in selector["matchExpressions"])


@EVERY
def test_budgets_guard_assigned_slots_and_the_platform_and_no_warm_slot(values: Values) -> None:
    """A warm pod has no such label, so it delays no drain, and a cluster autoscaler may remove its node.

    Each pod is selected by at most one budget, because a pod of two budgets cannot be evicted.
    """
    budgets = {found["metadata"]["name"]: found["spec"] for found in of_kind(render(values), "PodDisruptionBudget")}
    of_instances = {name: spec for name, spec in budgets.items() if "-instances" in name}
    is_wanted = values.get("pool", {}).get("podDisruptionBudget") != {"enabled": False}
    assert bool(of_instances) is (is_wanted and owns_pool(values))
    if of_instances:
        for labels, count in (assigned_labels("true"), 1), ({OLD_ASSIGNED_LABEL: "true"}, 1), ({}, 0):
            assert len([name for name, spec in of_instances.items() if selects(spec["selector"], labels)]) == count
    for spec in of_instances.values():
        assert spec["selector"]["matchLabels"] == OURS
        assert spec["minAvailable"] > 100_000, "more than the number of pods"
        assert spec["unhealthyPodEvictionPolicy"] == "IfHealthyBudget"
    for name in budgets.keys() - of_instances.keys():
        assert budgets[name]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "a broken pod delays no drain"
    assert {found["apiVersion"] for found in of_kind(render(values), "PodDisruptionBudget")} <= {"policy/v1"}


def test_a_spread_without_a_selector_is_over_the_components_own_pods() -> None:
    """To the API server a null selector matches no pod. An administrator's own selector is kept."""
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    own = spread | {"labelSelector": {"matchLabels": {"mine": "yes"}}}
    for component, pod in pods(render({"platform": {"topologySpreadConstraints": [spread, own]}})):
        if component not in ("puller", "check"):
            first, second = pod["spec"]["topologySpreadConstraints"]
            labels = first.pop("labelSelector")["matchLabels"]
            assert labels["app.kubernetes.io/component"] == component
            assert labels.items() <= pod["metadata"]["labels"].items()
            assert (first, second) == (spread, own)


def test_the_puller_tolerates_the_taints_of_all_flavors() -> None:
    manifests = render(VALUE_SETS["gpu"])
    spec = manifest_of(manifests, "DaemonSet", "freepool-puller")["spec"]["template"]["spec"]
    assert [container["image"] for container in spec["initContainers"]] == [
        "freepool/light:0.1.0",
        "freepool/cpu:0.1.0",
    ]
    assert {toleration["key"] for toleration in spec["tolerations"]} == {"nvidia.com/gpu", "lab"}


def test_images_come_from_the_configured_registry() -> None:
    found: set[Any] = {
        container["image"]
        for component, pod in pods(render(VALUE_SETS["as much as possible"]))
        for container in containers(pod)
    }
    assert found == {f"registry.example.org/freepool/{name}:1.2.3" for name in ("hub", "postgres", "light")}


@EVERY
def test_a_check_comes_before_everything_else_and_needs_nothing_of_the_release(values: Values) -> None:
    manifests = render(values)
    job = manifest_of(manifests, "Job", f"{values.get('fullnameOverride', RELEASE)}-check")
    hooks = [
        one for one in manifests if "pre-upgrade" in one["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    ]
    weights = {one["kind"]: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for one in hooks}
    assert weights.pop("Job") > max(weights.values())
    there = {one["metadata"]["name"] for one in hooks} | {"my-secrets", "cloud-keys", "more"}
    there |= {values.get("existingSecret"), values.get("login", {}).get("existingSecret")}
    spec = job["spec"]["template"]["spec"]
    for volume in spec["volumes"]:
        named = [volume.get("secret", {}).get("secretName")]
        named += [one.get("name") for part in volume.get("projected", {}).get("sources", ()) for one in part.values()]
        assert set(named) - {None} <= there, "a first installation has no other objects yet"
    assert "priorityClassName" not in spec, "which the release makes"
    assert "serviceAccountName" not in spec
    (container,) = spec["containers"]
    desk = manifest_of(manifests, "Deployment", job["metadata"]["name"].replace("check", "desk"))
    assert container["image"] == desk["spec"]["template"]["spec"]["containers"][0]["image"]
    has_database = bool(values.get("database", {}).get("url")) or "existingSecret" in values
    assert ("--no-database" in container["args"]) is not has_database, "the chart's own is not there yet"


def test_the_check_can_be_left_out() -> None:
    assert of_kind(render({"check": {"enabled": False}}), "Job") == []
