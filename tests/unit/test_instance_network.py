"""What instances on one machine reach: one list with the cluster's, and said where it is less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from spawner.local.instance_network import warning, with_means
from spawner.network_settings import InstanceNetwork
from spawner.pool.backends.base import Weakness
from spawner.pool.backends.local import means as trials
from spawner.pool.backends.local import network
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.network import Means, Network, TrafficLimits, own_addresses, plan, rules
from spawner.pool.build import make_backend
from spawner.settings import Isolation, Settings
from tests.stack import PROJECT

INTERNET = yaml.safe_load((PROJECT / "helm" / "values.yaml").read_text())["network"]["internet"]


def settings(tmp_path: Path, **fields: object) -> Settings:
    return Settings(
        catalog=tmp_path / "c", state=tmp_path, images=tmp_path, examples=tmp_path, ledger_url="sqlite:///x", **fields
    )  # type: ignore[arg-type]


# The rules


def test_one_machine_refuses_what_the_chart_refuses() -> None:
    assert list(network.REFUSED_IPV4) == INTERNET["refuseIPv4"]
    assert list(network.REFUSED_IPV6) == INTERNET["refuseIPv6"]
    assert list(network.REFUSED_PORTS) == INTERNET["refusePorts"]
    assert list(network.UDP_PORTS) == INTERNET["udpPorts"]


def test_the_machines_own_addresses_and_the_operators_networks_are_refused_and_allowed_in_this_order() -> None:
    text = rules(
        Network(Means.PASTA, also_refuse=("198.51.100.7/24", "10.1.0.0/16"), allow=("10.1.2.3", "fd00::3")),
        ["203.0.113.9", "2001:db8::9"],
    )
    allowed = text.index("ip daddr { 10.1.2.3/32 } meta l4proto tcp goto open")
    (refused,) = re.findall(r"    ip daddr \{ ([^}]*) \} reject", text)
    (refused6,) = re.findall(r"    ip6 daddr \{ ([^}]*) \} reject", text)
    assert allowed < text.index(refused)
    assert {"198.51.100.0/24", "203.0.113.9/32", "10.0.0.0/8"} <= set(refused.split(", "))
    assert "10.1.0.0/16" not in refused, "nftables refuses networks that overlap"
    assert "2001:db8::9/128" in refused6.split(", ")
    assert "ip6 daddr { fd00::3/128 } meta l4proto tcp goto open" in text


def test_own_addresses_are_read_from_the_kernels_tables(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
        "     |-- 192.0.2.7\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n"
    )
    (tmp_path / "if_inet6").write_text("20010db8000000000000000000000009 02 40 00 80     eth0\n")
    assert own_addresses(tmp_path) == ["192.0.2.7", "2001:db8::9"]
    (tmp_path / "if_inet6").unlink()  # a kernel without IPv6
    assert own_addresses(tmp_path) == ["192.0.2.7"]


def test_the_namespaces_user_is_not_the_sandboxs() -> None:
    """In a user namespace's parent, its owner has all capabilities over it."""
    made = plan(Network(Means.PASTA), 0x70000001)
    assert made is not None
    assert made.user == 0x71000001
    assert plan(Network(Means.SHARED), 0x70000001) is None


def test_without_internet_there_is_no_program_no_rule_and_no_resolver() -> None:
    made = plan(Network(Means.CLOSED, ports=(8000,)), None)
    assert made is not None
    assert (made.command, made.rules, made.ports, network.resolver(Means.CLOSED)) == ([], "", [8000], "")


def test_without_limits_and_log_nothing_is_tracked() -> None:
    """So a kernel without connection tracking serves."""
    bare = Network(Means.PASTA, limits=TrafficLimits(0, 0, 0, 0), log=False)
    assert not {"ct", "notrack", "limit"} & set(rules(bare).split())
    made = plan(bare, None)
    assert made is not None
    assert (made.shape, made.log) == ([], False)
    logged = rules(Network(Means.PASTA, limits=TrafficLimits(0, 0, 0, 0)))
    assert "ct state != new accept" in logged, "a rule that asks for the state turns tracking on"


def test_limits_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "find_program", lambda name: f"/sbin/{name}")
    given = InstanceNetwork(upload_megabits=2.5, connections=7, new_connections_per_second=3, packets_per_second=11)
    limits = network.limits_of(given)
    assert network.limits_of(InstanceNetwork()) == TrafficLimits()
    assert network.shape(limits)[7:9] == ["rate", "2500kbit"]
    text = rules(Network(Means.PASTA, limits=limits))
    for rule in (
        "ct count over 7 reject with icmpx type admin-prohibited",
        "limit rate over 3/second burst 30 packets drop",
        "limit rate over 11/second burst 11 packets drop",
    ):
        assert rule in text


def test_a_machine_without_tc_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spawner.local.instance_network.find_program", lambda name: None)
    monkeypatch.setattr(network, "find_program", lambda name: None)
    assert network.shape(TrafficLimits()) == []
    assert "bandwidth: tc is missing" in (warning(settings(tmp_path, network=InstanceNetwork(means="pasta"))) or "")
    unlimited = InstanceNetwork(means="pasta", upload_megabits=0)
    assert warning(settings(tmp_path, network=unlimited)) is None


# What works here


def trying(monkeypatch: pytest.MonkeyPatch, working: set[Means], installed: set[str]) -> None:
    monkeypatch.setattr(trials, "find_program", lambda name: name if name in installed else None)
    monkeypatch.setattr(trials, "_try", lambda means, limits, *, log: "" if means in working else f"{means}: no")


@pytest.mark.parametrize(
    ("working", "installed", "expected"),
    [
        ({*Means}, {"pasta", "slirp4netns", "nft"}, (Means.PASTA, "")),
        ({*Means}, {"slirp4netns", "nft"}, (Means.SLIRP, "")),
        ({Means.SLIRP, Means.CLOSED}, {"pasta", "slirp4netns", "nft"}, (Means.SLIRP, "")),
        (
            {*Means},
            {"pasta"},
            (Means.CLOSED, "nft: not installed; slirp4netns and nft: not installed"),
        ),
        ({Means.CLOSED}, {"pasta", "nft"}, (Means.CLOSED, "pasta: no; slirp4netns: not installed")),
        (set(), {"pasta", "slirp4netns", "nft"}, (Means.SHARED, "closed: no")),
    ],
)
def test_the_best_means_that_works_is_chosen_and_why_no_better_one(
    working: set[Means], installed: set[str], expected: tuple[Means, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trying(monkeypatch, working, installed)
    assert trials.find_means(internet=True) == expected


def test_an_operator_who_wants_no_internet_has_none_and_reads_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trying(monkeypatch, {*Means}, {"pasta", "nft"})
    found = with_means(settings(tmp_path, network=InstanceNetwork(internet=False)))
    assert found.network.means == "closed"
    assert warning(found) is None


def test_a_program_that_does_not_work_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = network.find_program
    monkeypatch.setattr(network, "find_program", lambda name: real(name) if name == "nft" else "/bin/false")
    assert trials._try(Means.PASTA) == "pasta: pasta does not start"
    assert trials._try(Means.SLIRP) == "slirp4netns: slirp4netns does not start"


# What is said


@pytest.mark.parametrize(
    ("means", "weakness", "said"),
    [
        ("pasta", None, None),
        ("closed", Weakness.NO_INTERNET, r"WARNING: .* no internet access \(nft: not installed\)\..*passt nft"),
        ("shared", Weakness.SHARED_NETWORK, r"WARNING: .* each other's ports: nft: not installed\. Do not offer"),
    ],
)
def test_less_than_was_asked_for_is_said(
    means: str, weakness: Weakness | None, said: str | None, tmp_path: Path
) -> None:
    given = settings(tmp_path, network=InstanceNetwork(means=means, why="nft: not installed"))  # type: ignore[arg-type]
    text = warning(given)
    assert (text is None) if said is None else re.match(said, text or "")
    backend = LocalBackend(folder=tmp_path / "s", images=tmp_path, examples=tmp_path, network=Network(Means(means)))
    assert backend.weakness == weakness


def test_without_a_sandbox_nothing_else_is_said(tmp_path: Path) -> None:
    backend = LocalBackend(folder=tmp_path, images=tmp_path, examples=tmp_path, isolated=False)
    assert backend.weakness is Weakness.NO_ISOLATION
    assert with_means(settings(tmp_path, isolation=Isolation.NONE)).network.means is None


# Settings


@pytest.mark.parametrize("field", ["also_refuse", "allow"])
def test_what_is_no_network_is_named(field: str) -> None:
    with pytest.raises(ValidationError, match=r"'10\.0\.0\.0/40' is not a network: use 10\.1\.2\.0/24, or an address"):
        InstanceNetwork.model_validate({field: ["10.0.0.0/40"]})


@pytest.mark.parametrize(
    ("hub", "target", "ports"),
    [
        ("http://127.0.0.1:8081/hub/api", "127.0.0.1", (8081, 9000)),
        ("http://192.0.2.1:8081/hub/api", "192.0.2.1", (8081, 9000)),
        ("http://127.0.0.1:9000/hub/api", "127.0.0.1", (9000,)),
        ("http+unix://%2Ftmp%2Fhub/hub/api", "127.0.0.1", (9000,)),
    ],
)
def test_the_hubs_port_and_the_public_port_are_forwarded(
    hub: str, target: str, ports: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spawner.pool.build.find_means", lambda *, internet: (Means.CLOSED, ""))
    monkeypatch.setattr(Settings, "hub_api_url", property(lambda _: hub))

    class Limits:
        local_memory = None

    class Catalog:
        limits = Limits()

    made = make_backend(settings(tmp_path, public_port=9000), Catalog())  # type: ignore[arg-type]
    assert isinstance(made, LocalBackend)
    assert made.network == Network(Means.CLOSED, ports=ports, target=target)
