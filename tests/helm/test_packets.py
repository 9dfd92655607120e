"""The chart's NetworkPolicies with real packets, from a real notebook and to one.

Each address is one that the test itself has put into a network of its own: `tests/cluster/outside.py`. And for each
that is stopped it is shown that the policy stops it: without the policies the same packet from the same pod arrives.

What packets cannot show here stays with the evaluator on paper (`test_network.py`): IPv6, which this cluster has not;
every port and every other set of values; address ranges as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spawner.pool.backends.kubernetes.manifest import is_assigned
from tests.backends.notebook import Notebook
from tests.cluster.outside import answering, outside
from tests.helm import probe
from tests.helm.release import Release, built_images
from tests.kubernetes.conftest import POD_GATEWAY
from tests.stack import eventually, free_port

pytestmark = pytest.mark.timeout(900)
PROGRAM = Path(probe.__file__).read_text()
REACHED, STOPPED, REPORTED = "reached", "stopped", "reported"
INTERNET = "203.0.113.80"
METADATA = {
    "169.254.169.254": "metadata of most clouds",
    "100.100.100.200": "Alibaba Cloud's metadata",
    "168.63.129.16": "Azure's metadata",
    "192.0.0.192": "Oracle Cloud's metadata",
}
PRIVATE = {
    "10.99.3.7": "private, 10/8",
    "172.20.3.7": "private, 172.16/12",
    "192.168.77.7": "private, 192.168/16",
    "100.64.3.7": "carriers' 100.64/10",
}


@dataclass(frozen=True)
class Target:
    """One connection to try. `source` is the sender."""

    source: str
    name: str
    kind: str
    host: str
    port: int
    wanted: str

    @property
    def place(self) -> str:
        """As `echo` wants it."""
        return f"{self.kind}:{self.host}:{self.port}"


def world() -> list[Target]:
    """Targets of a notebook outside of the cluster."""
    there = [
        *(("internet", "tcp", INTERNET, port, REACHED) for port in (22, 80, 443, 8443, 50000)),
        ("internet", "udp", INTERNET, 443, REACHED),
        *(("internet", "udp", INTERNET, port, STOPPED) for port in (53, 50000)),
        *(("mail", "tcp", INTERNET, port, STOPPED) for port in (25, 465, 587)),
    ]
    for address, name in {**METADATA, **PRIVATE}.items():
        there += [(name, "tcp", address, port, STOPPED) for port in (80, 443)]
        there += [(name, "udp", address, port, STOPPED) for port in (53, 443)]
    return [Target("notebook", *one) for one in there]


@dataclass
class Room:
    """An installed release, a notebook in it, and a pod of a namespace without policies."""

    release: Release
    user: str
    token: str
    stranger_namespace: str
    targets: list[Target] = field(default_factory=list)

    def run(self, source: str, targets: list[Target]) -> list[str]:
        """The result of each target, tried from this source."""
        asked = json.dumps([[target.kind, target.host, target.port] for target in targets])
        if source == "notebook":
            printed = asyncio.run(self._run_in_notebook(f"{PROGRAM}\nprint('=>' + json.dumps(probe({asked})))"))
            return list(json.loads(printed.rpartition("=>")[2]))
        if source == "its own node":
            return list(probe.probe(json.loads(asked)))  # type: ignore[no-untyped-call]
        where = (
            ["-n", self.stranger_namespace, "exec", "stranger"]
            if source == "another namespace's pod"
            else ["-n", self.release.namespace, "exec", f"deploy/{self.release.name}-{source}", "-c", source]
        )
        printed = self.release.admin.kubectl(*where, "--", "python", "-c", PROGRAM, asked)
        return list(json.loads(printed.strip().splitlines()[-1]))

    async def _run_in_notebook(self, code: str) -> str:
        async with aiohttp.ClientSession() as session:
            url = f"{self.release.url}/user/{self.user}/"
            # The last line prints, and what the program does when it is run by itself is left out.
            text = code.replace('if __name__ == "__main__":', "if False:")
            return await Notebook(session, url, self.token, "").run(text)

    def look(self) -> dict[Target, str]:
        """The results of all targets."""
        found: dict[Target, str] = {}
        for source in dict.fromkeys(target.source for target in self.targets):
            targets = [target for target in self.targets if target.source == source]
            found |= dict(zip(targets, self.run(source, targets), strict=True))
        return found


@pytest.fixture
def room(release: Release) -> Iterator[Room]:
    """All senders and receivers of packets."""
    admin, namespace = release.admin, f"{release.namespace}-stranger"
    admin.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        stranger(namespace),
    )
    try:
        assert release.start("pat").status_code in (201, 202)
        token = release.api("POST", "/users/pat/tokens", json={"note": "test"}).json()["token"]
        eventually(lambda: release.server("pat").get("ready"), seconds=60, what="a notebook")
        admin.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")
        eventually(lambda: len(addresses(release)) > 1, seconds=60, what="another notebook beside it")
        yield Room(release, "pat", token, namespace)
    finally:
        admin.kubectl("delete", "namespace", namespace, "--wait=false")
        release.stop("pat")


def stranger(namespace: str) -> dict[str, Any]:
    """A pod that answers on the notebooks' port, such as an unrelated service in the cluster."""
    image = built_images()
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stranger", "namespace": namespace},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "stranger",
                    "image": f"{image['repository']}/light:{image['tag']}",
                    "command": ["python", "-m", "http.server", "8888"],
                    "readinessProbe": {"tcpSocket": {"port": 8888}, "periodSeconds": 1},
                }
            ],
        },
    }


def addresses(release: Release) -> dict[str, bool]:
    """Addresses of the notebooks' ready pods, and whether each is assigned."""
    return {
        pod["status"]["podIP"]: is_assigned(pod["metadata"]["labels"])
        for pod in release.pods("instance")
        if any(status.get("started") for status in pod["status"].get("containerStatuses", []))
    }


def cluster_targets(room: Room, node: str, gateway: str, port: int) -> list[Target]:
    """What is tried inside the cluster."""
    release = room.release
    (mine,) = (address for address, is_lent in addresses(release).items() if is_lent)
    other = next(address for address, is_lent in addresses(release).items() if not is_lent)

    def address(component: str) -> str:
        (pod,) = release.pods(component)
        return str(pod["status"]["podIP"])

    service = release.get("service", "kubernetes", namespace="default")["spec"]["clusterIP"]
    far = release.admin.json("-n", room.stranger_namespace, "get", "pod", "stranger")["status"]["podIP"]
    name = f"{release.name}-hub.{release.namespace}.svc"
    out = [
        Target("notebook", *one)
        for one in (
            ("name of a Service (DNS)", "dns", name, 53, REACHED),
            ("hub, by its Service", "http", name, 8081, REACHED),
            ("proxy, by its Service", "http", f"{release.name}-proxy.{release.namespace}.svc", 80, REACHED),
            ("proxy's API", "http", address("proxy"), 8001, STOPPED),
            ("desk", "http", address("desk"), 8002, STOPPED),
            ("another notebook", "http", other, 8888, STOPPED),
            ("another namespace's pod", "http", far, 8888, STOPPED),
            ("API server, by its Service", "tls", service, 443, STOPPED),
            ("API server, on the node", "tls", node, 6443, STOPPED),
            ("kubelet", "tls", node, 10250, STOPPED),
            *((f"its own node, {what}", kind, host, port, REPORTED)
              for what, host in (("its address", node), ("the pods' bridge", gateway)) for kind in ("tcp", "udp")),
        )
    ]  # fmt: skip
    sources = {"proxy": REACHED, "hub": REACHED, "desk": STOPPED, "steward": STOPPED}
    sources |= {"another namespace's pod": STOPPED, "its own node": REPORTED}
    return out + [Target(source, "a notebook", "http", mine, 8888, wanted) for source, wanted in sources.items()]


POLICIES = "networkpolicies.networking.k8s.io"


@contextmanager
def without_policies(release: Release) -> Iterator[None]:
    """No policy in the release's namespaces while the block runs."""
    saved = []
    for namespace in (release.namespace, release.pool):
        for policy in release.get(POLICIES, namespace=namespace)["items"]:
            kept = {key: policy["metadata"].get(key, {}) for key in ("name", "namespace", "labels", "annotations")}
            saved.append({**policy, "metadata": kept})
    assert saved
    for namespace in (release.namespace, release.pool):
        release.kubectl("delete", POLICIES, "--all", namespace=namespace)
    try:
        yield
    finally:
        release.admin.kubectl(
            "create", "-f", "-", given=json.dumps({"kind": "List", "apiVersion": "v1", "items": saved})
        )


def test_what_packets_pass(release: Release, room: Room, pytestconfig: pytest.Config) -> None:
    node, gateway, port = release.node_address(), POD_GATEWAY, free_port()
    there = world()
    near = [f"{kind}:{address}:{port}" for address in (node, gateway) for kind in ("tcp", "udp")]
    with outside(target.place for target in there), answering(near):
        room.targets = [*there, *cluster_targets(room, node, gateway, port)]

        def first_wrong(found: dict[Target, str]) -> list[str]:
            return [
                f"{target.source} → {target.name} ({target.place}): {found[target]}, not {target.wanted}"
                for target in room.targets
                if target.wanted != REPORTED and (found[target] == REACHED) != (target.wanted == REACHED)
            ]

        kept = room.look()
        assert first_wrong(kept) == []
        with without_policies(release):
            free: dict[Target, str] = {}

            def arrives() -> bool:
                free.update(room.look())
                return all(came == REACHED for came in free.values())

            with contextlib.suppress(AssertionError):
                eventually(arrives, seconds=10)
        again: dict[Target, str] = {}

        def is_as_before() -> bool:
            again.update(room.look())
            return first_wrong(again) == []

        eventually(is_as_before, seconds=10, what="the policies' effect, once they are back")
    shown = table(room.targets, kept, free)
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        print(f"\n\n{shown}\n")
    assert {target.name: came for target, came in free.items() if came != REACHED} == {}, (
        "without the policies everything arrives, or else it is not the policies that stop it"
    )


def table(targets: list[Target], kept: dict[Target, str], free: dict[Target, str]) -> str:
    """For people: what was tried, what came of it with the chart's policies, and what without."""
    lines = [("from", "to", "", "address", "with the policies", "without")]
    for one in targets:
        came = kept[one] if kept[one] == REACHED else f"stopped ({kept[one]})"
        mark = " *" if one.wanted == REPORTED else ""
        lines.append((one.source, one.name, one.kind, f"{one.host}:{one.port}", came + mark, free[one]))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*rows, "* towards the pod's own node: reported, not promised. This cluster has no IPv6."])
