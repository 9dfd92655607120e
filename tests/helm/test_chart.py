"""The chart lints, renders with every way to use it, and refuses values that it does not know."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from spawner import __version__
from spawner.catalog import load_catalog
from spawner.people_settings import PeopleSettings
from spawner.rate_settings import Rate, RateLimits
from spawner.settings import Settings
from tests.helm.chart import (
    APART,
    CHART,
    KEEP,
    NAMESPACE,
    PAID,
    RELEASE,
    VALUE_SETS,
    Values,
    manifest_of,
    notes,
    of_kind,
    proxy_options,
    render,
    settings_of,
)
from tests.helm.schema import COMPONENTS, FILE, catalog_schema, overrides_schema, part_of, people_schema, pod_fields
from tests.stack import PROJECT

EVERY = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS.keys())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


@EVERY
@pytest.mark.parametrize("version", ["v1.30.0", "v1.35.0", "v1.36.3", "v1.37.0"])
def test_the_chart_lints(values: Values, version: str) -> None:
    report = helm.lint(CHART, values, strict=True, namespace=NAMESPACE, kube_version=version)
    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


@EVERY
def test_programs_understand_the_settings_and_the_catalog(values: Values, tmp_path: Path) -> None:
    manifests = render(values)
    name = values.get("fullnameOverride", "freepool")
    settings = Settings.model_validate(settings_of(manifests, name))
    assert settings.kubernetes is not None
    assert settings.kubernetes.namespace == values.get("pool", {}).get("namespace", "lab-pool")
    assert settings.ledger_url is None, "it is a secret"
    hub = "hub" if values.get("existingHub") else f"{name}-hub"
    assert settings.hub_api_url == f"http://{hub}.{NAMESPACE}.svc:8081/hub/api"
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(manifest_of(manifests, "ConfigMap", name)["data"]["catalog.yaml"])
    assert all(image.reference and "{" not in image.reference for image in load_catalog(catalog).images)


def test_desk_and_steward_get_the_cloud_settings() -> None:
    settings = Settings.model_validate(settings_of(render({"paid": PAID, **APART}), RELEASE))
    assert settings.paid is not None
    assert settings.paid.model_dump(mode="json", exclude_unset=True) == PAID["settings"]
    assert Settings.model_validate(settings_of(render(), RELEASE)).paid is None


def test_kept_files_need_a_bucket_and_its_key() -> None:
    settings = Settings.model_validate(settings_of(render(KEEP), RELEASE))
    assert (settings.bundles.bucket, str(settings.bundles.key_folder)) == ("freepool-bundles", "/srv/bundles")
    with pytest.raises(Exception, match=r"name a bucket in bundles\.settings"):
        render({"catalog": KEEP["catalog"]})
    with pytest.raises(Exception, match=r"in bundles\.existingSecret"):
        render(KEEP | {"bundles": {"settings": KEEP["bundles"]["settings"]}})


def test_cloud_keys_that_are_not_mounted_are_reported_at_once() -> None:
    with pytest.raises(Exception, match="name the Secret that holds them"):
        render({"paid": {"settings": PAID["settings"]}, **APART})


INGRESS = {"enabled": True, "hosts": ["lab.example.org"]}
TLS = {"tls": [{"secretName": "lab-tls", "hosts": ["lab.example.org", "*.lab.example.org"]}]}


@pytest.mark.parametrize(
    ("values", "host"),
    [
        ({}, "http://localhost:8000"),
        (APART, "https://lab.example.org"),
        ({"public": "https://lab.example.org/"}, "https://lab.example.org"),
        ({"public": "https://lab.example.org:8443"}, "https://lab.example.org:8443"),
        ({"ingress": INGRESS | TLS}, "https://lab.example.org"),
        ({"ingress": INGRESS}, None),
        ({"public": "https://192.0.2.1/"}, None),
        ({"public": "https://[2001:db8::1]/"}, None),
        ({"public": "https://lab.example.org/", "notebookHosts": "shared"}, None),
        ({"public": "https://lab.example.org/", "existingHub": {"enabled": True}}, None),
    ],
)
def test_notebooks_have_hosts_of_their_own_as_on_one_machine(values: Values, host: str | None) -> None:
    manifests = render(values)
    written = settings_of(manifests, RELEASE)
    settings = Settings.model_validate(written)
    assert (written.get("subdomain_host"), settings.subdomain_host) == (host, host)
    assert settings.guards_pages is (host is not None)
    assert Settings.model_validate(settings_of(render(values | {"trustNotebooks": True}), RELEASE)).guards_pages
    if not values.get("existingHub"):
        own = {name: value for name, value in written.items() if name not in ("subdomain_host", "notebook_hosts")}
        same = Settings.model_validate(own | {"notebook_hosts": values.get("notebookHosts", "auto")})
        assert same.subdomain_host == host, "chart and settings choose alike"
        assert proxy_options(manifests)["host"] == (host or "").rpartition("//")[2].partition(":")[0]
    for ingress in of_kind(manifests, "Ingress"):
        names = [rule["host"] for rule in ingress["spec"]["rules"]]
        assert names == ["lab.example.org", *(["*.lab.example.org"] if host else [])]
    said = notes(values)
    assert ("WARNING: notebooks share the origin" in said) is (host is None)
    assert ("DNS and certificate need *.lab.example.org" in said) is (host is not None and "localhost" not in host)


@pytest.mark.parametrize(
    ("values", "proxies"),
    [
        ({}, 0),
        ({"ingress": INGRESS}, 1),
        ({"ingress": INGRESS, "trustedProxies": 0}, 0),
        ({"trustedProxies": 2}, 2),
    ],
)
def test_the_ingress_is_a_trusted_proxy_unless_another_number_is_set(values: Values, proxies: int) -> None:
    assert Settings.model_validate(settings_of(render(values), RELEASE)).trusted_proxies == proxies


GATEWAY: Values = {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}]}


@pytest.mark.parametrize(
    ("values", "public", "hosts"),
    [
        ({"gateway": {"hosts": ["b.org"]}}, "https://b.org/", ["b.org", "*.b.org"]),
        ({"gateway": {}, "public": "https://a.org/"}, "https://a.org/", ["a.org", "*.a.org"]),
        ({"gateway": {"hosts": ["a.org"]}, "notebookHosts": "shared"}, "https://a.org/", ["a.org"]),
    ],
)
def test_a_route_of_the_gateway_api_leads_to_the_proxy(values: Values, public: str, hosts: list[str]) -> None:
    manifests = render(values | {"gateway": GATEWAY | values["gateway"] | {"timeouts": {"request": "0s"}}})
    route = manifest_of(manifests, "HTTPRoute", RELEASE)
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    service = manifest_of(manifests, "Service", "freepool-proxy")["spec"]["ports"][0]["port"]
    assert route["spec"] == {
        "parentRefs": GATEWAY["parentRefs"],
        "hostnames": hosts,
        "rules": [
            {"backendRefs": [{"name": "freepool-proxy", "port": service}], "timeouts": {"request": "0s"}},
        ],
    }  # fmt: skip
    settings = settings_of(manifests)
    assert (settings["public"], settings["trusted_proxies"]) == (public, 1)
    assert of_kind(render(), "HTTPRoute") == []


def test_rate_limits_have_the_settings_own_defaults_and_can_be_changed_one_by_one() -> None:
    assert Settings.model_validate(settings_of(render(), RELEASE)).rate_limits == RateLimits()
    changed = settings_of(render({"rateLimits": {"login_by_address": {"burst": 500}}}), RELEASE)
    assert Settings.model_validate(changed).rate_limits.login_by_address == Rate(burst=500, per_minute=60)
    with pytest.raises(Exception, match="burst"):
        render({"rateLimits": {"login_by_address": {"burst": 0}}})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"public": "http://lab.example.org/", "notebookHosts": "subdomains"}, "a host per user needs https"),
        ({"public": "https://192.0.2.1/", "notebookHosts": "subdomains"}, "192.0.2.1 is an IP address"),
        ({"public": "https://a.org/lab/", "notebookHosts": "subdomains"}, "without a path"),
        ({"public": "https://a.org/lab/"}, "public: a path is not supported"),
        ({"public": "https://a.org/?lab"}, "public: a path is not supported"),
        ({"hub": {"config": {"JupyterHub": {"subdomain_host": "http://a.org"}}}}, "a host per user needs https"),
        (APART | {"notebookHosts": "shared"}, "remove one of them"),
        (
            {"notebookHosts": "shared", "hub": {"config": {"JupyterHub": {"cookie_host_prefix_enabled": True}}}},
            "on one origin every notebook server would get the hub's cookie",
        ),
    ],
)
def test_hosts_that_cannot_be_kept_apart_are_refused_with_what_to_do(values: Values, words: str) -> None:
    with pytest.raises(Exception, match=words.replace("*", "[*]")):
        render(values)


@EVERY
def test_every_service_has_a_pod_behind_it(values: Values) -> None:
    manifests = render(values)
    deployments = [found["spec"]["template"] for found in of_kind(manifests, "Deployment")]
    for service in of_kind(manifests, "Service"):
        wanted = service["spec"]["selector"].items()
        (pod,) = [pod for pod in deployments if wanted <= pod["metadata"]["labels"].items()]
        open_ports = {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= open_ports


def test_the_version_is_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == __version__


def test_the_catalog_is_the_projects() -> None:
    """Except for container images and GPU flavors, which only a cluster has."""
    ours, project = (
        copy.deepcopy(DEFAULTS["catalog"]),
        yaml.safe_load((PROJECT / "hub_config/catalog.yaml").read_text()),
    )
    (gpu,) = [flavor for flavor in ours["flavors"] if "accelerator" in flavor]
    gpu["limit"] = 4
    for image, name in zip(ours["images"], ("light", "cpu"), strict=True):
        assert image["id"] == name
        assert f'"{name}"' in image["reference"]
    for kind in ("flavors", "examples", "defaults", "limits", "allowances"):
        assert ours[kind] == project[kind]


def test_single_entries_of_the_catalog_are_changed_removed_and_added_by_id(tmp_path: Path) -> None:
    overrides = {
        "flavors": {
            "gpu-24g": {
                "limit": 4,
                "allowance": None,
                "accelerator": {"name": "NVIDIA L4"},
                "pod": {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
            },
            "cpu-large": None,
            "cpu-huge": DEFAULTS["catalog"]["flavors"][1] | {"memory": "64GiB"},
        },
        "images": {"cpu": {"reference": '{{ include "freepool.image" (list . "mine") }}'}},
        "examples": {"tune": None},
        "classes": {"gpu": {"hours": 20}},
    }
    del overrides["flavors"]["cpu-huge"]["id"]
    manifests = render({"catalogOverrides": overrides})
    file = tmp_path / "catalog.yaml"
    file.write_text(manifest_of(manifests, "ConfigMap", RELEASE)["data"]["catalog.yaml"])
    catalog = load_catalog(file)
    assert [flavor.id for flavor in catalog.flavors] == ["cpu-basic", "gpu-24g", "cpu-huge"]
    gpu = catalog.flavor("gpu-24g")
    assert (gpu.limit, gpu.allowance, gpu.cpu) == (4, None, 8)
    assert gpu.accelerator is not None
    assert (gpu.accelerator.name, gpu.accelerator.memory) == ("NVIDIA L4", 24 * 1024**3)
    assert catalog.image("cpu").reference == "freepool/mine:0.1.0"
    assert [image.id for image in catalog.images] == ["light", "cpu"]
    assert {one["id"] for one in DEFAULTS["catalog"]["examples"]} - {one.id for one in catalog.examples} == {"tune"}
    assert catalog.allowances.classes[0].hours == 20
    untouched = yaml.safe_load(manifest_of(render(), "ConfigMap", RELEASE)["data"]["catalog.yaml"])
    assert untouched["allowances"] == DEFAULTS["catalog"]["allowances"], "a rendering changes no values"
    quota = manifest_of(manifests, "ResourceQuota", RELEASE)["spec"]["hard"]
    assert quota["requests.nvidia.com/gpu"] == "6"
    assert manifest_of(manifests, "LimitRange", RELEASE)["spec"]["limits"][0]["max"]["memory"] == "65536Mi"
    puller = manifest_of(manifests, "DaemonSet", "freepool-puller")["spec"]["template"]["spec"]
    assert puller["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert "freepool/mine:0.1.0" in [container["image"] for container in puller["initContainers"]]


@pytest.mark.parametrize(
    ("values", "error_text"),
    [
        ({"databse": {}}, "databse"),
        ({"network": {"polices": False}}, "polices"),
        ({"hub": {"config": ["no"]}}, "/hub/config"),
        ({"database": {"url": "mysql://somewhere"}}, "/database/url"),
        ({"network": {"internet": {"refusePorts": [99999]}}}, "refusePorts/0"),
        ({"backup": {"schedule": "daily"}}, "/backup/schedule"),
        ({"backup": {"keep": 0}}, "/backup/keep"),
        ({"gateway": {"parentRefs": [{"namespace": "gateways"}]}}, "/gateway/parentRefs/0.*name"),
        ({"catalogOverrides": {"flavor": {}}}, "flavor"),
        ({"catalogOverrides": {"flavors": {"cpu-basic": {"limits": 4}}}}, "cpu-basic.*limits"),
        ({"catalogOverrides": {"flavors": [{"id": "cpu-basic", "limit": 4}]}}, "/catalogOverrides/flavors"),
        ({"catalogOverrides": {"flavors": {"cpu-basic": {"cpu": "much"}}}}, "flavors/cpu-basic/cpu"),
        ({"catalogOverrides": {"flavors": {"cpu-basic": {"limit": -1}}}}, "flavors/cpu-basic/limit"),
        ({"catalogOverrides": {"flavors": {"cpu-basic": {"memory": "-2GiB"}}}}, "flavors/cpu-basic/memory"),
        ({"catalogOverrides": {"examples": {"ocr": {"path": 7}}}}, "examples/ocr/path"),
        ({"public": "https://user:word@lab.example.org/"}, "/public"),
        ({"public": "https://lab.example.org:"}, "/public"),
        ({"public": "https://数据.example"}, "/public"),
        ({"desk": {"extraContainers": [{"name": "logs"}]}}, "/desk/extraContainers/0.*image"),
        ({"proxy": {"extraVolumeMounts": [{"name": "more"}]}}, "/proxy/extraVolumeMounts/0.*mountPath"),
        ({"network": {"internet": {"nat64": "64:ff9b:1::/48"}}}, "/network/internet/nat64"),
        ({"catalog": {"limit": {}}}, "limit"),
        ({"catalog": {"limits": {"instances": 1}}}, "instances"),
    ],
)
def test_an_unknown_value_is_refused(values: Values, error_text: str) -> None:
    with pytest.raises(helm.HelmValuesError, match=error_text):
        render(values)


@pytest.mark.parametrize(
    ("values", "error_text"),
    [
        ({"database": {"embedded": {"enabled": False}}}, "No database"),
        ({"existingSecret": "mine", "database": {"url": "postgresql+psycopg://db/x"}}, "exclude each other"),
        (
            {"database": {"embedded": {"persistence": {"enabled": False, "existingClaim": "mine"}}}},
            "existingClaim names a volume, and enabled is false",
        ),
        ({"catalogOverrides": {"flavors": {"gpu": {"limit": 4}}}}, "no such id. It has: cpu-basic, cpu-large, gpu-24g"),
        ({"catalogOverrides": {"examples": {"poem": None}}}, r"examples.poem: the catalog has no such"),
        ({"gateway": {"enabled": True, "hosts": ["a.org"]}}, r"name the Gateway .* in gateway\.parentRefs"),
        ({"gateway": {"enabled": True, "parentRefs": [{"name": "a"}]}}, r"name the host in gateway\.hosts"),
        ({"gateway": GATEWAY | {"hosts": ["*.a.org"]}}, r"\*\.a\.org is none: name a host"),
        ({"public": "https://203.0.113.1/", "gateway": GATEWAY}, r"203\.0\.113\.1 is none: name a host"),
        ({"backup": {"enabled": True}}, r"name the claim for the dumps in backup\.existingClaim"),
        ({"catalog": {"flavors": [DEFAULTS["catalog"]["flavors"][0] | {"memory": "2Gi"}]}}, "2Gi is not a valid size"),
    ],
)
def test_values_that_cannot_work_are_refused_with_a_message(values: Values, error_text: str) -> None:
    with pytest.raises(helm.HelmError, match=error_text):
        render(values)


def test_the_schema_describes_every_value() -> None:
    schema = json.loads(FILE.read_text())

    def compare(values: dict[str, Any], part: dict[str, Any], where: str) -> None:
        current = {name for name, inner in part["properties"].items() if not inner.get("deprecated")}
        assert current - {"global"} == set(values), where
        assert part["additionalProperties"] is False, where
        for name, inner in part["properties"].items():
            assert "$ref" in inner or inner.get("description"), f"{where}.{name} has no description"
            if "properties" in inner and name not in ("catalog", "catalogOverrides", "people"):
                compare(values[name], inner, f"{where}.{name}")

    compare(DEFAULTS, schema, "values")


def test_the_schema_of_the_catalog_is_the_catalogs_own() -> None:
    schema = json.loads(FILE.read_text())
    assert (schema["properties"]["catalog"], schema["$defs"]) == catalog_schema(), "run python -m tests.helm.schema"
    assert schema["properties"]["people"] == people_schema()[0], "run python -m tests.helm.schema"
    assert schema["properties"]["catalogOverrides"] == overrides_schema(), "run python -m tests.helm.schema"


@pytest.mark.parametrize("path", COMPONENTS)
def test_each_component_takes_the_same_fields_of_a_pod(path: str) -> None:
    found = part_of(json.loads(FILE.read_text()), path)
    assert {name: found.get(name) for name in pod_fields()} == pod_fields(), "run python -m tests.helm.schema"


def test_classes_and_invitations_reach_the_settings_and_mistakes_are_refused() -> None:
    people = {
        "invitation_only": True,
        "known": [{"days": 7, "claims": {"email_verified": True, "acr": ["silver", 2]}}],
        "limits": {"new": {"session_minutes": 60}},
    }
    found = Settings.model_validate(settings_of(render({"people": people, "trustedProxies": 1})))
    assert found.people == PeopleSettings.model_validate(people)
    assert found.trusted_proxies == 1
    for wrong in ({"invitations": True}, {"known": [{"day": 7}]}, {"limits": {"new": {"session_minutes": 0}}}):
        with pytest.raises(Exception, match="schema"):
            render({"people": wrong})


def test_links_use_the_public_address() -> None:
    assert settings_of(render())["public"] == "http://localhost:8000/"
    assert settings_of(render(VALUE_SETS["ingress"]))["public"] == "https://lab.example.org/"
    assert settings_of(render({"public": "https://a.example.org/"}))["public"] == "https://a.example.org/"


def test_notes_explain_the_next_steps() -> None:
    assert "exec deploy/freepool-hub -- freepool link ann" in notes()
    assert "port-forward svc/freepool-proxy" in notes()
    own_login = notes({"hub": {"config": {"JupyterHub": {"authenticator_class": "github"}}}})
    assert "freepool link" not in own_login
    assert "WARNING: network.policies is off" in notes({"network": {"policies": False}})
    assert "docs/zero-to-jupyterhub.md" in notes(VALUE_SETS["hub of another chart"])


def test_notes_say_how_pod_security_is_enforced() -> None:
    ours, platform = (
        "kubectl label namespace notebooks pod-security",
        f"kubectl label namespace {NAMESPACE} pod-security",
    )
    assert ours not in notes(), "the chart labels the namespace that it creates"
    assert platform in notes()
    existing = notes(VALUE_SETS["namespace that exists"])
    assert f"{ours}.kubernetes.io/enforce=restricted" in existing
    assert platform not in notes(VALUE_SETS["hub of another chart"]), "the other chart's pods are not checked"


def test_a_values_file_of_an_older_release_is_accepted() -> None:
    """Until Kubernetes 1.22 NetworkPolicies knew no port ranges, and a value listed ports instead."""
    before: Values = {"network": {"internet": {"portsWithoutRanges": [80, 443, 8443]}}}
    assert of_kind(render(before), "NetworkPolicy") == of_kind(render(), "NetworkPolicy")
    assert "network.internet.portsWithoutRanges is ignored" in notes(before)
    assert "portsWithoutRanges" not in notes()


def test_a_change_restarts_only_the_pods_that_read_it() -> None:
    secret = {"existingSecret": "mine"}  # without generated secrets two renderings are equal

    def sums(values: Values) -> dict[str, Any]:
        return {
            found["metadata"]["name"].removeprefix("freepool-"): found["spec"]["template"]["metadata"]["annotations"]
            for found in of_kind(render(secret | values), "Deployment")
        }

    before = sums({})

    def changed(values: Values) -> set[str]:
        after = sums(values)
        return {name for name in after if after[name] != before[name]}

    assert changed({}) == set()
    assert changed({"public": "https://lab.example.org/"}) == {"hub", "desk", "steward"}
    assert changed({"hub": {"extraConfig": "pass"}}) == {"hub"}
    assert changed({"hub": {"config": {"JupyterHub": {"log_level": "DEBUG"}}}}) == {"hub"}
