"""A Freepool that the chart has installed on a real cluster: Helm's verbs, kubectl, and the URL of its proxy."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx
import yaml

from spawner import __version__
from tests.helm.chart import CHART, Values
from tests.helm.verbs import HelmFailed, call
from tests.kubernetes.admin import Admin
from tests.kubernetes.conftest import POD_GATEWAY
from tests.kubernetes.node import Node
from tests.stack import eventually, free_port

READY_SECONDS = 240
PLATFORM = ("hub", "desk", "steward", "proxy", "postgres")


def built_images() -> Values:
    """Values that name the images as `make images` has built them: REGISTRY/NAME:TAG."""
    return {
        "registry": "",
        "repository": os.environ.get("REGISTRY", "freepool"),
        "tag": os.environ.get("TAG", __version__),
    }


@dataclass
class Release:
    """One installation. Names of objects begin with the release's own."""

    admin: Admin
    namespace: str
    name: str = "freepool"
    values: Values = field(default_factory=dict)
    token: str = "an-automation-token-for-tests"
    _reached: dict[str, str] = field(default_factory=dict)
    _forwards: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def pool(self) -> str:
        """The namespace of the notebooks."""
        return f"{self.namespace}-pool"

    # Helm

    def install(self, values: Values | None = None) -> None:
        """Install it and wait until everything is ready."""
        if values is not None:
            self.values = values
        with self._explained():
            self._helm("install", str(CHART), self.name, self._all_values(), create_namespace=True)
            self._wait_for_routes()

    def upgrade(self, values: Values) -> None:
        """Change its values and wait until everything is ready again."""
        self.values = values
        with self._explained():
            self._helm("upgrade", str(CHART), self.name, self._all_values())
            self._wait_for_routes()

    def _wait_for_routes(self) -> None:
        """Hub and desk are ready shortly before the proxy has their routes; until then it answers 404."""
        if self.values.get("existingHub"):
            return
        for page in ("hub/health", "services/desk/health"):
            url = f"{self.url}/{page}"
            eventually(lambda url=url: httpx.get(url).status_code == 200, seconds=30, what=f"{page} through the proxy")  # type: ignore[misc]

    def uninstall(self) -> str:
        """Uninstall; returns Helm's list of kept objects."""
        self._reached.clear()  # another installation's Services have other addresses
        return str(self._helm("uninstall", self.name, ignore_not_found=True)["info"])

    def test(self) -> str:
        """`helm test`; returns what the test printed."""
        return str(self._helm("test", self.name, wait=None, logs=True)["logs"])

    def _helm(self, verb: str, *arguments: Any, wait: str | None = "watcher", **options: Any) -> dict[str, Any]:
        if wait is not None:
            options["wait"] = wait
        return call(
            verb,
            *arguments,
            kubeconfig=self.admin.kubeconfig,
            namespace=self.namespace,
            timeout=READY_SECONDS,
            **options,
        )

    def _all_values(self) -> Values:
        automation = [{"name": "FREEPOOL_API_TOKEN", "value": self.token}]
        hub = {"extraEnv": automation} | self.values.get("hub", {})
        # The tests reach the proxy by its IP address, below which there are no names.
        hosts = {"notebookHosts": "shared", "trustNotebooks": True}
        # Only what was built here is on the nodes, and the puller would wait for the rest.
        return (
            hosts
            | self._network()
            | {"image": built_images(), "imagePuller": {"images": ["light"]}, "catalog": {"flavors": _flavors()}}
            | self.values
            | {"hub": hub}
        )

    def _network(self) -> Values:
        """Our own cluster serves names at the node's end of the pods' bridge, not from pods."""
        if Node.of(self.admin) is None:
            return {}
        return {"network": {"dns": {"to": [{"ipBlock": {"cidr": f"{POD_GATEWAY}/32"}}]}}}

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except HelmFailed as error:
            raise AssertionError(f"{error}\n{self.describe()}") from error

    def describe(self) -> str:
        """Status and logs of the pods, for a failure message about pods that are not ready."""
        parts = [self.kubectl("get", "pods", "-o", "wide")]
        for pod in json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]:
            for status in pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", []):
                if not status["ready"]:
                    parts.append(f"{pod['metadata']['name']} {status['name']}: {json.dumps(status['state'])}")
                    with contextlib.suppress(AssertionError):  # a container that has not started has no log
                        parts.append(self.kubectl("logs", pod["metadata"]["name"], "-c", status["name"], "--tail=30"))
        return "\n".join(parts)

    # The cluster

    def kubectl(
        self, *arguments: str, namespace: str | None = None, given: str | None = None, check: bool = True
    ) -> str:
        """What a call of kubectl in the release's namespace prints. `given` is its standard input."""
        return self.admin.kubectl("-n", namespace or self.namespace, *arguments, given=given, check=check)

    def get(self, kind: str, name: str = "", *, namespace: str | None = None) -> Any:
        """An object, or all of a kind, as JSON."""
        return json.loads(self.kubectl("get", kind, *([name] if name else []), "-o", "json", namespace=namespace))

    def secret(self) -> dict[str, str]:
        """The decoded data of the release's Secret."""
        data = self.get("secret", self.name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The pods of one component that are not being deleted."""
        found = self.admin.pods(self.pool if component == "instance" else self.namespace)
        return [
            pod
            for pod in found.values()
            if pod["metadata"]["labels"].get("app.kubernetes.io/component") == component
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def node_address(self) -> str:
        """The node's address inside the cluster."""
        addresses = self.admin.node()["status"]["addresses"]
        return next(str(entry["address"]) for entry in addresses if entry["type"] == "InternalIP")

    # The platform

    @property
    def url(self) -> str:
        """Base URL of the proxy for this machine."""
        return self.reach(f"{self.name}-proxy")

    def reach(self, service: str) -> str:
        """Base URL of a Service for this machine: its own address, or a port that kubectl forwards."""
        if service not in self._reached:
            spec = self.get("service", service)["spec"]
            address, port = spec["clusterIP"], spec["ports"][0]["port"]
            direct = f"http://{address}" if port == 80 else f"http://{address}:{port}"  # as in a browser
            self._reached[service] = direct if _accepts(address, port) else self._forwarded(service, port)
        return self._reached[service]

    def _forwarded(self, service: str, port: int) -> str:
        here = free_port()
        arguments = ("-n", self.namespace, "port-forward", f"svc/{service}", f"{here}:{port}")
        self._forwards.append(self.admin.start(*arguments))
        eventually(lambda: _accepts("127.0.0.1", here), what="port-forward")
        return f"http://127.0.0.1:{here}"

    def close(self) -> None:
        """End the processes on this machine."""
        for forward in self._forwards:
            forward.terminate()
            forward.wait(10)

    def link_for(self, user: str) -> str:
        """A link that logs `user` in, as `freepool` prints it, with an address that this machine reaches."""
        printed = self.kubectl("exec", f"deploy/{self.name}-hub", "-c", "hub", "--", "freepool", "link", user).strip()
        return self.url + "/hub/link?" + printed.partition("/hub/link?")[2]

    def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """JupyterHub's REST API with the automation token."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(method, f"{self.url}/hub/api{path}", headers=headers, timeout=120, **kwargs)

    def server(self, user: str) -> dict[str, Any]:
        """JupyterHub's model of the user's server; empty without one."""
        return dict(self.api("GET", f"/users/{quote(user, safe='')}").json()["servers"].get("") or {})

    def start(self, user: str, **options: Any) -> httpx.Response:
        """Create a user if needed and start the server."""
        assert self.api("POST", f"/users/{quote(user, safe='')}").status_code in (201, 409)
        return self.api("POST", f"/users/{quote(user, safe='')}/server", json=options or None)

    def stop(self, user: str) -> httpx.Response:
        """Stop the user's server."""
        return self.api("DELETE", f"/users/{quote(user, safe='')}/server")


@cache
def _flavors() -> list[Any]:
    """The chart's flavors, of which no more than one slot is kept warm: tests come in crowds."""
    flavors: list[Any] = yaml.safe_load((CHART / "values.yaml").read_text())["catalog"]["flavors"]
    return [flavor | ({"warm": {"floor": 1, "ceiling": 1}} if "warm" in flavor else {}) for flavor in flavors]


def _accepts(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
        return True
    return False


@contextmanager
def installed_release(admin: Admin, namespace: str, values: Values | None = None) -> Iterator[Release]:
    """Install the chart with the images built here; uninstalled completely afterwards."""
    release = Release(admin, namespace)
    try:
        release.install(values or {})
        yield release
    finally:
        release.close()
        release.uninstall()
        admin.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=true")
