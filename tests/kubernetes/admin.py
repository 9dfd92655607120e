"""The cluster with an administrator's rights, which tests have and Freepool does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cluster.network import CANNOT, SCRIPTS, namespace_file
from tests.stack import eventually


@dataclass(frozen=True)
class Admin:
    """kubectl with an administrator's kubeconfig."""

    kubeconfig: Path
    program_of: Admin | None = None
    """The `Admin` whose kubectl is used if none is beside this kubeconfig."""
    reader: httpx.Client | None = None
    """A connection to the API server for reads, see `admin_of_cluster`. Without one they are calls of kubectl."""

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        """Standard output of one call of kubectl."""
        done = subprocess.run(
            self.command(*arguments),
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A call of kubectl that goes on, such as port-forward."""
        return subprocess.Popen(self.command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def command(self, *arguments: str) -> list[str]:
        """The command line of one call of kubectl."""
        own = (self.program_of or self).kubeconfig.parent / "bin" / "kubectl"
        program = str(own) if own.exists() else shutil.which("kubectl") or "kubectl"
        # Our own cluster answers only inside its network, where this thread may not be, as in the end of a session.
        # Where that is missing, nsenter fails: nothing goes to the machine's network instead.
        is_own = own.exists() and not os.environ.get("FREEPOOL_TEST_KUBECONFIG")
        way = ["nsenter", f"--net={namespace_file()}", "--"] if is_own else []
        return [*way, program, f"--kubeconfig={self.kubeconfig}", *arguments]

    def json(self, *arguments: str) -> Any:
        """Output of one call of kubectl with `-o json`, parsed."""
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply these objects."""
        self.kubectl("apply", "-f", "-", given=json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))

    def read(self, path: str) -> Any:
        """What the API server has at this path, parsed."""
        if self.reader is None:
            return json.loads(self.kubectl("get", "--raw", path))
        answer = self.reader.get(path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        return answer.json()

    def pods(self, namespace: str) -> dict[str, dict[str, Any]]:
        """Pods of a namespace by name."""
        found = self.read(f"/api/v1/namespaces/{namespace}/pods")
        return {pod["metadata"]["name"]: pod for pod in found["items"]}

    def node(self) -> dict[str, Any]:
        """The cluster's one node."""
        (node,) = self.read("/api/v1/nodes")["items"]
        return dict(node)

    def account(self, namespace: str, name: str, file: Path) -> Path:
        """A kubeconfig with the rights of one service account."""
        script("kubeconfig-for", namespace, name, str(file))
        return file


@contextmanager
def admin_of_cluster() -> Iterator[Admin]:
    """The cluster, brought up where that is needed. Skips the test on a machine that can have none.

    Tests wait by reading again and again: a call of kubectl takes 70 ms of processor time, a read by way of one that
    goes on takes 5. Its socket is a file, so that the caller may be in any network.
    """
    try:
        admin = Admin(Path(script("ensure", "--built").strip().splitlines()[-1]))
    except NoCluster as why:
        pytest.skip(str(why))
    folder = Path(tempfile.mkdtemp(prefix="freepool-api-"))
    socket = folder / "api"
    proxy = admin.start("proxy", f"--unix-socket={socket}")
    try:
        eventually(socket.exists, what="kubectl proxy")
        transport = httpx.HTTPTransport(uds=str(socket))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=60) as reader:
            yield replace(admin, reader=reader)
    finally:
        proxy.terminate()
        proxy.wait(10)
        shutil.rmtree(folder)


def script(name: str, *arguments: str) -> str:
    """Run one of the cluster's scripts and return its output."""
    done = subprocess.run(
        [str(SCRIPTS / name), *arguments], capture_output=True, text=True, timeout=1800, check=False, env={**os.environ}
    )
    if done.returncode == CANNOT:
        raise NoCluster(done.stderr.strip())
    assert done.returncode == 0, f"{name}: {done.stderr}"
    return done.stdout


class NoCluster(Exception):
    """This machine cannot run a cluster."""
