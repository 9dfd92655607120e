"""Evaluates NetworkPolicies as a pure function: is a connection allowed?

For what packets on the test cluster (`test_packets.py`) cannot show: IPv6, which that cluster has not; other values
than the defaults; every port; the edges of address ranges; pods that no release has.

By the Kubernetes API's documentation: a pod that no policy selects for a direction is open in that direction; once one
does, only what some policy allows passes; a connection needs both its ends to agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any


@dataclass(frozen=True)
class Pod:
    """A pod of the cluster. The network plugin gives it an address from a private range."""

    namespace: str
    labels: dict[str, str] = field(hash=False)
    address: str = "10.244.0.9"


@dataclass(frozen=True)
class Host:
    """An address outside of the cluster."""

    address: str


End = Pod | Host


def passes(policies: list[dict[str, Any]], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection from `source` to a port of `target` is made."""
    return all(
        _agrees(policies, direction, at=at, other=other, port=port, protocol=protocol)
        for direction, at, other in (("Egress", source, target), ("Ingress", target, source))
        if isinstance(at, Pod)
    )


def _agrees(policies: list[dict[str, Any]], direction: str, *, at: Pod, other: End, port: int, protocol: str) -> bool:
    about_it = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"]["policyTypes"]
        and policy["metadata"].get("namespace", "") == at.namespace
        and _selects(policy["spec"]["podSelector"], at.labels)
    ]
    peers = {"Egress": "to", "Ingress": "from"}[direction]
    return not about_it or any(
        _covers_peer(rule.get(peers, []), at, other) and _covers_port(rule.get("ports", []), port, protocol)
        for spec in about_it
        for rule in spec.get(direction.lower(), [])
    )


def _covers_peer(peers: list[dict[str, Any]], at: Pod, other: End) -> bool:
    return not peers or any(_is_peer(peer, at, other) for peer in peers)


def _is_peer(peer: dict[str, Any], at: Pod, other: End) -> bool:
    if "ipBlock" in peer:
        address, block = ip_address(other.address), peer["ipBlock"]
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(refused) for refused in block.get("except", [])
        )
    if not isinstance(other, Pod):
        return False
    if "namespaceSelector" in peer:
        # Kubernetes gives each namespace its name as a label.
        if not _selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace}):
            return False
    elif other.namespace != at.namespace:
        return False
    return _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "the chart uses nothing else"
    return selector.get("matchLabels", {}).items() <= labels.items()


def _covers_port(ports: list[dict[str, Any]], port: int, protocol: str) -> bool:
    return not ports or any(
        entry["protocol"] == protocol and entry["port"] <= port <= entry.get("endPort", entry["port"])
        for entry in ports
    )
