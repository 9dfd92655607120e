"""Prometheus in the cluster: what the chart makes for it, and that it is off by default."""

from __future__ import annotations

import re
from typing import Any

import helm_python as helm
import pytest
import yaml

from tests.alerts.programs import RULES
from tests.helm.chart import (
    CHART,
    NAMESPACE,
    RELEASE,
    VALUE_SETS,
    Values,
    decoded,
    manifest_of,
    of_kind,
    pods,
    render,
)
from tests.helm.packets import Pod, passes
from tests.helm.test_network import DESK, platform

KINDS = ("ServiceMonitor", "PrometheusRule")
LABELS = {"release": "kube-prometheus-stack"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}


def monitoring(**changes: Any) -> Values:
    """Everything that there is, for a Prometheus in the namespace `monitoring`."""
    on = {"enabled": True, "labels": LABELS}
    return {"monitoring": {"namespaces": ["monitoring"], "serviceMonitor": on, "prometheusRule": on} | changes}


def reaches(values: Values, who: Pod) -> bool:
    policies = of_kind(render(values), "NetworkPolicy")
    for policy in policies:
        policy["metadata"].setdefault("namespace", NAMESPACE)
    return passes(policies, who, platform("desk"), DESK)


@pytest.mark.parametrize("name", ["default", "as much as possible"])
def test_it_is_off_by_default(name: str) -> None:
    manifests = render(VALUE_SETS[name])
    assert of_kind(manifests, *KINDS) == []
    assert "metrics" not in _secrets_of_the_desk(manifests)


def test_the_service_monitor_leads_to_the_desks_metrics_with_their_token() -> None:
    manifests = render(monitoring())
    monitor = manifest_of(manifests, "ServiceMonitor", RELEASE)
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert LABELS.items() <= monitor["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {
        "port": "http",
        "path": "/services/desk/metrics",
        "interval": "30s",
        "authorization": {"type": "token", "credentials": {"name": RELEASE, "key": "metrics"}},
    }
    (service,) = [
        service
        for service in of_kind(manifests, "Service")
        if monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ]
    assert service["metadata"]["name"] == f"{RELEASE}-desk"
    assert "http" in {port["name"] for port in service["spec"]["ports"]}
    assert "metrics" in decoded(manifest_of(manifests, "Secret", RELEASE))
    assert "metrics" in _secrets_of_the_desk(manifests)


def test_a_secret_of_ones_own_has_the_token() -> None:
    values = VALUE_SETS["existing secret"] | monitoring()
    (endpoint,) = manifest_of(render(values), "ServiceMonitor", RELEASE)["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "my-secrets", "key": "metrics"}


def test_the_rules_are_those_of_the_file() -> None:
    rule = manifest_of(render(monitoring()), "PrometheusRule", RELEASE)
    assert rule["apiVersion"] == "monitoring.coreos.com/v1"
    assert LABELS.items() <= rule["metadata"]["labels"].items()
    whole = yaml.safe_load(RULES.read_text())
    assert whole["groups"].pop()["name"] == "freepool-backup"
    assert rule["spec"] == whole


def test_a_failed_backup_has_an_alert_where_there_are_backups() -> None:
    values = monitoring() | {"fullnameOverride": "loans"}
    backup = {"enabled": True, "existingClaim": "dumps", "seconds": 7200}
    *_, group = manifest_of(render(values | {"backup": backup}), "PrometheusRule", "loans")["spec"]["groups"]
    (rule,) = group["rules"]
    assert (rule["alert"], rule["for"]) == ("FreepoolBackupFailed", "130m")
    assert set(re.findall(r"{.*?}", rule["expr"])) == {f'{{namespace="{NAMESPACE}", cronjob="loans-backup"}}'}
    nothing = values["monitoring"]["prometheusRule"] | {"leaveOut": None}
    some = values | {"backup": backup, "monitoring": values["monitoring"] | {"prometheusRule": nothing}}
    assert group in manifest_of(render(some), "PrometheusRule", "loans")["spec"]["groups"]
    left_out = values["monitoring"]["prometheusRule"] | {"leaveOut": ["FreepoolBackupFailed"]}
    some = values | {"backup": backup, "monitoring": values["monitoring"] | {"prometheusRule": left_out}}
    assert group not in manifest_of(render(some), "PrometheusRule", "loans")["spec"]["groups"]


def test_alerts_are_left_out_and_get_the_address_of_their_runbook() -> None:
    some = {"enabled": True, "leaveOut": ["FreepoolQueueWait"], "runbook": "https://wiki.example.org/operate.md"}
    groups = manifest_of(render(monitoring(prometheusRule=some)), "PrometheusRule", RELEASE)["spec"]["groups"]
    urls = {one["alert"]: one["annotations"]["runbook_url"] for group in groups for one in group["rules"]}
    assert urls["FreepoolHubDown"] == "https://wiki.example.org/operate.md#freepoolhubdown"
    assert "FreepoolQueueWait" not in urls
    with pytest.raises(helm.HelmError, match="there is no alert FreepoolQueue: "):
        render(monitoring(prometheusRule=some | {"leaveOut": ["FreepoolQueue"]}))


def test_the_network_policy_lets_the_named_namespaces_in() -> None:
    prometheus, other = Pod("monitoring", PROMETHEUS), Pod("monitoring", {"app": "shop"})
    assert not reaches({}, prometheus)
    assert reaches(monitoring(), prometheus)
    assert reaches(monitoring(), other)
    assert not reaches(monitoring(), Pod("elsewhere", PROMETHEUS))
    labelled = monitoring(podLabels=PROMETHEUS)
    assert reaches(labelled, prometheus)
    assert not reaches(labelled, other)
    with pytest.raises(helm.HelmError, match=r"name its namespace in monitoring\.namespaces"):
        render(monitoring(namespaces=[]))
    assert render(monitoring(namespaces=[]) | {"network": {"policies": False}})


def test_the_chart_lints_with_all_of_it() -> None:
    assert helm.lint(CHART, monitoring(), strict=True, namespace=NAMESPACE, kube_version="v1.36.3")["errors"] == []


def _secrets_of_the_desk(manifests: list[dict[str, Any]]) -> set[str]:
    (desk,) = [pod for component, pod in pods(manifests) if component == "desk"]
    (volume,) = [volume for volume in desk["spec"]["volumes"] if volume["name"] == "secrets"]
    return {item["key"] for item in volume["secret"]["items"]}
