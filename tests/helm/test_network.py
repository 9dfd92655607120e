"""Which connections the chart's NetworkPolicies allow, by evaluation: all that `test_packets.py` does not send.

That is IPv6, other values than the defaults, every port, the edges of address ranges, and the platform's own pods.
"""

from __future__ import annotations

import json
import re
from ipaddress import ip_network
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.helm.chart import MODELS, NAMESPACE, POOL, RELEASE, VALUE_SETS, Values, of_kind, render
from tests.helm.packets import Host, Pod, passes
from tests.stack import PROJECT
from tests.unit.make import quick

NOTEBOOK, HUB_API, PUBLIC, PROXY_API, DESK, DATABASE = 8888, 8081, 8000, 8001, 8002, 5432


def platform(component: str, namespace: str = NAMESPACE) -> Pod:
    names = {"name": "freepool", "instance": RELEASE, "component": component}
    return Pod(namespace, {f"app.kubernetes.io/{name}": value for name, value in names.items()})


INSTANCE = Pod(
    POOL, {"app.kubernetes.io/name": "freepool", "app.kubernetes.io/component": "instance", "freepool/slot": "1"}
)
NEIGHBOUR = Pod(POOL, INSTANCE.labels | {"freepool/slot": "2"}, "10.244.0.10")
DNS = Pod("kube-system", {"k8s-app": "kube-dns"}, "10.96.0.10")
STRANGER = Pod("elsewhere", {"app": "shop"}, "10.244.0.11")
BROWSER = Host("203.0.113.7")


def policies(values: Values | None = None) -> list[dict[str, Any]]:
    """The chart's policies. Objects without a namespace go into the release's."""
    found = of_kind(render(values), "NetworkPolicy")
    for policy in found:
        policy["metadata"].setdefault("namespace", NAMESPACE)
    return found


DEFAULT = policies()


@pytest.mark.parametrize("component", ["hub", "proxy", "desk", "steward"])
def test_hub_proxy_desk_and_steward_reach_a_notebook(component: str) -> None:
    assert passes(DEFAULT, platform(component), INSTANCE, NOTEBOOK)
    assert not passes(DEFAULT, platform(component), INSTANCE, 22)


@pytest.mark.parametrize("who", [NEIGHBOUR, STRANGER, BROWSER, platform("hub", "elsewhere")])
def test_nobody_else_reaches_a_notebook(who: Pod | Host) -> None:
    assert not passes(DEFAULT, who, INSTANCE, NOTEBOOK)


def test_a_notebook_reaches_what_it_needs() -> None:
    assert passes(DEFAULT, INSTANCE, DNS, 53, "UDP")
    assert passes(DEFAULT, INSTANCE, DNS, 53, "TCP")
    assert passes(DEFAULT, INSTANCE, platform("hub"), HUB_API)
    assert passes(DEFAULT, INSTANCE, platform("proxy"), PUBLIC)


@pytest.mark.parametrize("address", ["223.5.5.5", "2606:2800:220:1:248:1893:25c8:1946"])
@pytest.mark.parametrize(("port", "protocol"), [(443, "TCP"), (80, "TCP"), (22, "TCP"), (8443, "TCP"), (443, "UDP")])
def test_a_notebook_reaches_the_internet(address: str, port: int, protocol: str) -> None:
    assert passes(DEFAULT, INSTANCE, Host(address), port, protocol)


@pytest.mark.parametrize("port", [25, 465, 587])
def test_a_notebook_sends_no_mail(port: int) -> None:
    assert not passes(DEFAULT, INSTANCE, Host("2606:2800:220:1:248:1893:25c8:1946"), port)


@pytest.mark.parametrize("port", [24, 26, 464, 466, 586, 588, 1, 65535])
def test_ports_beside_those_of_mail_are_open(port: int) -> None:
    assert passes(DEFAULT, INSTANCE, Host("93.184.216.34"), port)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.0",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "127.0.0.1",
        "0.0.0.0",
        "100.64.0.1",
        "100.127.255.255",
        "169.254.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fd00:ec2::254",  # Amazon's metadata
        "fc00::1",
        "fe80::1",
        "ff02::1",
        "64:ff9b::a9fe:a9fe",  # 169.254.169.254 behind a translator
        "2002:0a01:0203::1",  # 10.1.2.3 in a tunnel
    ],
)
def test_a_notebook_does_not_reach_private_addresses(address: str) -> None:
    assert not passes(DEFAULT, INSTANCE, Host(address), 443)
    assert not passes(DEFAULT, INSTANCE, Host(address), 80)
    assert not passes(DEFAULT, INSTANCE, Host(address), 53, "UDP")


@pytest.mark.parametrize("who", [NEIGHBOUR, STRANGER, platform("postgres"), platform("desk"), platform("steward")])
@pytest.mark.parametrize("port", [NOTEBOOK, DATABASE, DESK, 443, 80])
def test_a_notebook_reaches_no_other_pod(who: Pod, port: int) -> None:
    assert not passes(DEFAULT, INSTANCE, who, port)


def test_a_notebook_does_not_reach_the_proxys_api() -> None:
    assert not passes(DEFAULT, INSTANCE, platform("proxy"), PROXY_API)


def test_a_pod_that_is_no_notebook_reaches_nothing_from_the_pool() -> None:
    odd = Pod(POOL, {"app": "odd"})
    assert not passes(DEFAULT, odd, Host("93.184.216.34"), 443)
    assert not passes(DEFAULT, platform("hub"), odd, NOTEBOOK)


@pytest.mark.parametrize(
    ("port", "target", "friends"),
    [
        (HUB_API, "hub", {"proxy", "desk", "steward"}),
        (PROXY_API, "proxy", {"hub"}),
        (DESK, "desk", {"proxy", "hub"}),
        (DATABASE, "postgres", {"hub", "desk", "steward"}),
        (1234, "steward", set()),
    ],
)
def test_the_platform_talks_to_itself_only(port: int, target: str, friends: set[str]) -> None:
    components = {"hub", "proxy", "desk", "steward", "postgres", "puller"}
    reach = {who for who in components if passes(DEFAULT, platform(who), platform(target), port)}
    assert reach - {target} == friends
    for stranger in (STRANGER, BROWSER):
        assert not passes(DEFAULT, stranger, platform(target), port)


def test_the_pod_that_makes_a_dump_reaches_the_trial_database_and_nothing_reaches_it() -> None:
    own = policies({"backup": {"enabled": True, "existingClaim": "dumps"}})
    assert passes(own, platform("backup"), platform("postgres"), DATABASE)
    assert not passes(DEFAULT, platform("backup"), platform("postgres"), DATABASE)
    assert not passes(own, platform("hub"), platform("backup"), DATABASE)
    assert not passes(own, platform("backup"), INSTANCE, NOTEBOOK)


def test_any_source_reaches_the_proxys_public_port() -> None:
    for who in (BROWSER, STRANGER, INSTANCE, platform("test")):
        assert passes(DEFAULT, who, platform("proxy"), PUBLIC)


def test_any_source_reaches_the_port_of_tls_where_there_is_one() -> None:
    own = policies({"public": "https://lab.example.org/", "proxy": {"tls": {"secretName": "lab-tls"}}})
    assert passes(own, BROWSER, platform("proxy"), 8443)
    assert not passes(DEFAULT, BROWSER, platform("proxy"), 8443)


def test_the_hub_reaches_the_cluster_and_login_providers() -> None:
    for who in ("hub", "steward"):
        assert passes(DEFAULT, platform(who), Host("10.96.0.1"), 443)
    assert passes(DEFAULT, platform("hub"), Host("140.82.112.3"), 443)
    assert not passes(DEFAULT, platform("proxy"), Host("10.96.0.1"), 443)
    assert not passes(DEFAULT, platform("postgres"), Host("93.184.216.34"), 443)


def test_configured_ports_and_addresses() -> None:
    own = policies(VALUE_SETS["as much as possible"])
    assert not passes(own, INSTANCE, Host("203.0.113.9"), 443)
    assert passes(own, INSTANCE, Host("10.9.8.7"), 443)
    for port in (22, 25, 6667, 65535):
        assert not passes(own, INSTANCE, Host("93.184.216.34"), port)
    for port in (23, 24, 26, 6666, 6668, 65534, 465):
        assert passes(own, INSTANCE, Host("93.184.216.34"), port)


@pytest.mark.parametrize("prefix", ["64:ff9b::", "2001:db8:64::"])
def test_ipv4_behind_a_translator_is_as_ipv4_itself(prefix: str) -> None:
    own = policies(MODELS | {"network": {"internet": {"nat64": f"{prefix}/96", "alsoRefuseIPv4": ["203.0.113.0/24"]}}})
    for pod in (INSTANCE, Pod(POOL, platform("models").labels)):
        for address in ("93.184.216.34", "11.0.0.1", "172.32.0.1", "203.0.114.1"):
            assert passes(own, pod, Host(f"{prefix}{address}"), 443)
        for address in ("10.1.2.3", "169.254.169.254", "172.31.255.255", "192.168.0.1", "203.0.113.9", "0.0.0.1"):
            assert not passes(own, pod, Host(f"{prefix}{address}"), 443)
    assert not passes(policies(MODELS), INSTANCE, Host("64:ff9b::93.184.216.34"), 443)
    for block in re.findall(r"[0-9a-f:]+::[0-9a-f:]*/\d+", json.dumps(own)):
        assert block == str(ip_network(block)), "the API server warns of other forms"


def dns_example(name: str) -> Values:
    """The values that docs/kubernetes.md gives for a cluster whose DNS has other labels."""
    page = (PROJECT / "docs" / "kubernetes.md").read_text()
    (block,) = [one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if f"# {name}" in one]
    found: Values = yaml.safe_load(block)
    return found


@pytest.mark.parametrize(
    ("name", "server", "port"),
    [
        ("OpenShift", Pod("openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"}), 5353),
        ("NodeLocal", Host("169.254.25.10"), 53),
    ],
)
def test_names_are_resolved_by_servers_with_other_labels(name: str, server: Pod | Host, port: int) -> None:
    own = policies(dns_example(name))
    for protocol in ("UDP", "TCP"):
        for pod in (INSTANCE, platform("proxy")):
            assert passes(own, pod, server, port, protocol)
            assert not passes(DEFAULT, pod, server, port, protocol)
    assert not passes(own, INSTANCE, STRANGER, port, "UDP")


@quick
@given(st.lists(st.integers(1, 65535), unique=True, max_size=6), st.lists(st.integers(1, 65535), max_size=20))
def test_exactly_the_refused_ports_are_closed(refused: list[int], asked: list[int]) -> None:
    own = policies({"network": {"internet": {"refusePorts": refused}}})
    near = [near for port in refused for near in (port - 1, port, port + 1) if 1 <= near <= 65535]
    for port in [*asked, *near]:
        assert passes(own, INSTANCE, Host("93.184.216.34"), port) == (port not in refused)


def test_internet_access_can_be_turned_off() -> None:
    own = policies({"network": {"internet": {"enabled": False}}})
    assert not passes(own, INSTANCE, Host("93.184.216.34"), 443)
    assert passes(own, INSTANCE, platform("hub"), HUB_API)


def test_a_hub_of_another_chart_replaces_ours() -> None:
    own = policies(VALUE_SETS["hub of another chart"])
    other_hub = {name: Pod(NAMESPACE, {"app": "jupyterhub", "component": name}) for name in ("hub", "proxy")}
    for who in other_hub.values():
        assert passes(own, who, INSTANCE, NOTEBOOK)
        assert passes(own, who, platform("desk"), DESK)
    assert passes(own, INSTANCE, other_hub["hub"], HUB_API)
    assert passes(own, other_hub["hub"], platform("postgres"), DATABASE)
    assert not passes(own, other_hub["proxy"], platform("postgres"), DATABASE)
    assert not passes(own, platform("hub"), INSTANCE, NOTEBOOK)


def test_a_connection_must_be_allowed_at_both_ends() -> None:
    """The evaluator's own test."""
    closed = {"metadata": {"namespace": "a"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
    here, there = Pod("a", {}), Pod("b", {})
    assert passes([], there, here, 1)
    assert not passes([closed], there, here, 1)
    assert passes([closed], here, there, 1)
    same_namespace = {"metadata": {"namespace": "a"}, "spec": {
        "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}],
    }}  # fmt: skip
    assert passes([closed, same_namespace], Pod("a", {"x": "y"}), here, 1)
    assert not passes([closed, same_namespace], there, here, 1)
