"""The chart's NetworkPolicies with real packets, from a real notebook and to one.

All addresses are in a network that the test makes: `tests/cluster/outside.py`. Without the policies the same packets
from the same pods arrive, so it is the policies that stop them.

`test_network.py` evaluates what this test does not send: IPv6, which this cluster lacks, all ports, other values, and
whole address ranges.
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
        """The form that `echo` reads."""
        return f"{self.kind}:{self.host}:{self.port}"


def targets_outside() -> list[Target]:
    """Targets of a notebook outside of the cluster."""
    connections = [
        *(("internet", "tcp", INTERNET, port, REACHED) for port in (22, 80, 443, 8443, 50000)),
        ("internet", "udp", INTERNET, 443, REACHED),
        *(("internet", "udp", INTERNET, port, STOPPED) for port in (53, 50000)),
        *(("mail", "tcp", INTERNET, port, STOPPED) for port in (25, 465, 587)),
    ]
    for address, name in {**METADATA, **PRIVATE}.items():
        connections += [(name, "tcp", address, port, STOPPED) for port in (80, 443)]
        connections += [(name, "udp", address, port, STOPPED) for port in (53, 443)]
    return [Target("notebook", *connection) for connection in connections]


@dataclass
class Installation:
    """An installed release, a notebook in it, and a pod of a namespace without policies."""

    release: Release
    user: str
    token: str
    unrelated_namespace: str
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
            ["-n", self.unrelated_namespace, "exec", "stranger"]
            if source == "another namespace's pod"
            else ["-n", self.release.namespace, "exec", f"deploy/{self.release.name}-{source}", "-c", source]
        )
        printed = self.release.admin.kubectl(*where, "--", "python", "-c", PROGRAM, asked)
        return list(json.loads(printed.strip().splitlines()[-1]))

    async def _run_in_notebook(self, code: str) -> str:
        async with aiohttp.ClientSession() as session:
            url = f"{self.release.url}/user/{self.user}/"
            # The last line prints the result; the main block is left out.
            text = code.replace('if __name__ == "__main__":', "if False:")
            return await Notebook(session, url, self.token, "").run(text)

    def try_all(self) -> dict[Target, str]:
        """The results of all targets."""
        found: dict[Target, str] = {}
        for source in dict.fromkeys(target.source for target in self.targets):
            targets = [target for target in self.targets if target.source == source]
            found |= dict(zip(targets, self.run(source, targets), strict=True))
        return found

    def try_soon(self) -> dict[Target, str]:
        """The same while rules change, when the notebook itself may not be reached: then it has tried nothing."""
        try:
            return self.try_all()
        except AssertionError as error:
            return dict.fromkeys(self.targets, str(error))


@pytest.fixture
def installation(release: Release) -> Iterator[Installation]:
    """The release, a notebook, an unrelated pod, and another notebook of the pool."""
    admin, namespace = release.admin, f"{release.namespace}-stranger"
    admin.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        unrelated_pod(namespace),
    )
    try:
        assert release.start("pat").status_code in (201, 202)
        token = release.api("POST", "/users/pat/tokens", json={"note": "test"}).json()["token"]
        eventually(lambda: release.server("pat").get("ready"), seconds=60, what="a notebook")
        admin.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")
        eventually(lambda: len(addresses(release)) > 1, seconds=60, what="another notebook beside it")
        yield Installation(release, "pat", token, namespace)
    finally:
        admin.kubectl("delete", "namespace", namespace, "--wait=false")
        release.stop("pat")


def unrelated_pod(namespace: str) -> dict[str, Any]:
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


def cluster_targets(installation: Installation, node: str, gateway: str, port: int) -> list[Target]:
    """Targets inside the cluster."""
    release = installation.release
    (notebook,) = (address for address, assigned in addresses(release).items() if assigned)
    other = next(address for address, assigned in addresses(release).items() if not assigned)

    def address(component: str) -> str:
        (pod,) = release.pods(component)
        return str(pod["status"]["podIP"])

    service = release.get("service", "kubernetes", namespace="default")["spec"]["clusterIP"]
    far = release.admin.json("-n", installation.unrelated_namespace, "get", "pod", "stranger")["status"]["podIP"]
    name = f"{release.name}-hub.{release.namespace}.svc"
    from_notebook = [
        Target("notebook", *connection)
        for connection in (
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
    sources = {"proxy": REACHED, "hub": REACHED, "desk": REACHED, "steward": REACHED}
    sources |= {"another namespace's pod": STOPPED, "its own node": REPORTED}
    return from_notebook + [
        Target(source, "a notebook", "http", notebook, 8888, wanted) for source, wanted in sources.items()
    ]


POLICIES = "networkpolicies.networking.k8s.io"


@contextmanager
def without_policies(release: Release) -> Iterator[None]:
    """No policy in the release's namespaces while the block runs."""
    saved = []
    for namespace in (release.namespace, release.pool):
        for policy in release.get(POLICIES, namespace=namespace)["items"]:
            metadata = {key: policy["metadata"].get(key, {}) for key in ("name", "namespace", "labels", "annotations")}
            saved.append({**policy, "metadata": metadata})
    assert saved
    for namespace in (release.namespace, release.pool):
        release.kubectl("delete", POLICIES, "--all", namespace=namespace)
    try:
        yield
    finally:
        release.admin.kubectl(
            "create", "-f", "-", given=json.dumps({"kind": "List", "apiVersion": "v1", "items": saved})
        )


def test_the_policies_stop_exactly_the_documented_connections(
    release: Release, installation: Installation, pytestconfig: pytest.Config
) -> None:
    node, gateway, port = release.node_address(), POD_GATEWAY, free_port()
    outside_targets = targets_outside()
    on_the_node = [f"{kind}:{address}:{port}" for address in (node, gateway) for kind in ("tcp", "udp")]
    with outside(target.place for target in outside_targets), answering(on_the_node):
        installation.targets = [*outside_targets, *cluster_targets(installation, node, gateway, port)]

        def wrong_results(found: dict[Target, str]) -> list[str]:
            return [
                f"{target.source} → {target.name} ({target.place}): {found[target]}, not {target.wanted}"
                for target in installation.targets
                if target.wanted != REPORTED and (found[target] == REACHED) != (target.wanted == REACHED)
            ]

        with_policies = installation.try_all()
        assert wrong_results(with_policies) == []
        with without_policies(release):
            without: dict[Target, str] = {}

            def all_arrive() -> bool:
                without.update(installation.try_soon())
                return all(result == REACHED for result in without.values())

            with contextlib.suppress(AssertionError):
                eventually(all_arrive, seconds=10)
        once_restored: dict[Target, str] = {}

        def is_restored() -> bool:
            once_restored.update(installation.try_soon())
            return wrong_results(once_restored) == []

        eventually(is_restored, seconds=10, what="the policies' effect, once they are back")
    shown = table(installation.targets, with_policies, without)
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        print(f"\n\n{shown}\n")
    assert {target.name: result for target, result in without.items() if result != REACHED} == {}, (
        "without the policies every packet arrives"
    )


def table(targets: list[Target], with_policies: dict[Target, str], without: dict[Target, str]) -> str:
    """A table of the targets, and the result of each with and without the policies."""
    lines = [("from", "to", "", "address", "with the policies", "without")]
    for target in targets:
        result = with_policies[target] if with_policies[target] == REACHED else f"stopped ({with_policies[target]})"
        mark = " *" if target.wanted == REPORTED else ""
        lines.append(
            (target.source, target.name, target.kind, f"{target.host}:{target.port}", result + mark, without[target])
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*rows, "* towards the pod's own node: reported only. This cluster has no IPv6."])
