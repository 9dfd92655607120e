"""`make bench-cluster`: ours beside stock KubeSpawner, the same image on the same cluster, in one interleaved run."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from spawner.ledger import open_ledger
from spawner.pool.backends.kubernetes.pods import read_pod
from spawner.settings import KubernetesPool
from tests.bench.counting import Counter, counting
from tests.bench.drive import ALL_PARTS, Driver, Failed
from tests.bench.local import Found, interruptible
from tests.bench.sides import Side, end, is_final, parts_in, plain_environment, tools, wait_ready
from tests.bench.table import Measure, part_rows, render, rows, verdicts
from tests.cluster.network import Network, lease
from tests.kubernetes.admin import Admin, script
from tests.kubernetes.conftest import LIGHT, require_images, write_settings
from tests.stack import PROJECT, free_port, running_stack

OURS, COLD, STOCK = "ours, warm", "ours, cold", "stock KubeSpawner"
START = Measure("POST to ready", "s", target_p50=14, target_p95=14)
PAGE = Measure("POST to first JupyterLab page", "s")
RESTART = Measure("stop + start (wiped)", "s", target_p50=20)
REQUESTS = Measure("API server requests per start and stop", "")
CPU = Measure("hub CPU per start and stop", "s")
HELD = Measure("held per pod in the hub", "B")
MEASURES = (START, PAGE, RESTART, REQUESTS, CPU, HELD)
REST_SECONDS = 1.0


@dataclass
class Contestant:
    """A side, and what is counted beside it."""

    side: Side
    counter: Counter
    hub_cpu: Callable[[], float]
    driver: Driver = field(init=False)

    def __post_init__(self) -> None:
        self.driver = Driver(self.side)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(prog="make bench-cluster", description=__doc__)
    parser.add_argument("-n", type=int, default=10, help="starts per side (%(default)s)")
    options = parser.parse_args(arguments)
    lease()
    Network().enter()
    admin = Admin(Path(script("ensure", "--built").strip().splitlines()[-1]))
    require_images()
    interruptible()
    namespaces = [f"bench-{name}-{secrets.token_hex(2)}" for name in ("ours", "stock")]
    try:
        for namespace in namespaces:
            admin.kubectl("create", "namespace", namespace)
        with tempfile.TemporaryDirectory(prefix="freepool-bench-", ignore_cleanup_errors=True) as folder:
            _bench(options.n, admin, namespaces, Path(folder))
    except KeyboardInterrupt:
        sys.exit("bench: stopped; its processes are ended")
    finally:
        for namespace in namespaces:
            admin.kubectl("delete", "namespace", namespace, "--wait=false", check=False)


def _bench(n: int, admin: Admin, namespaces: list[str], folder: Path) -> None:
    found: Found = {}
    failures: dict[str, list[str]] = {}
    address = os.environ.get("FREEPOOL_TEST_HOST", "10.244.0.1")
    with ExitStack() as stack:
        ours = stack.enter_context(_ours(admin, namespaces[0], address, folder / "ours"))
        stock = stack.enter_context(stock_hub(admin, namespaces[1], address, folder / "stock"))
        contestants = [*ours, stock]
        print(_header(n), flush=True)
        try:
            for number in range(n + 1):
                for one in contestants:
                    _one_round(one, contestants, found if number else {}, failures)
        except KeyboardInterrupt:
            print("stopped early: fewer rounds than asked for")
        for name, held in _held(admin, namespaces[0]).items():
            found[HELD.title, name] = [held]
    names = [OURS, COLD, STOCK]
    print(render(rows(MEASURES, OURS, STOCK, names, found)))
    print()
    print("\n".join(verdicts(MEASURES, OURS, STOCK, found)))
    print("\n" + render(part_rows(ALL_PARTS, [OURS, COLD], found)) + "\n")
    cold = Measure(START.title, "s", target_p50=2)
    print("cold: " + "\ncold: ".join(verdicts([cold], COLD, STOCK, found)))
    for name in names:
        failed = failures.get(name, [])
        print(f"{name}: {len(failed)} of {n + 1} rounds failed" + "".join(f"\n  {line}" for line in failed))


def _one_round(
    one: Contestant, contestants: Sequence[Contestant], found: Found, failures: dict[str, list[str]]
) -> None:
    """Rest, and then one round of one side; what it measured is noted in `found`."""
    name = one.side.name
    for other in contestants:
        other.side.settle()
    time.sleep(REST_SECONDS)
    try:
        values = _round(one, contestants)
    except Failed as error:
        failures.setdefault(name, []).append(str(error))
        one.driver.clear()
        return
    for title, value in values.items():
        found.setdefault((title, name), []).append(value)


def _round(one: Contestant, all_of_them: Sequence[Contestant]) -> dict[str, float]:
    """One start, its page, a stop with a start after it, and the end."""
    driver, values = one.driver, {}
    requests, cpu, began = one.counter.requests, one.hub_cpu(), time.perf_counter()
    values[START.title] = driver.start()
    values |= driver.parts(values[START.title])
    driver.page()
    values[PAGE.title] = time.perf_counter() - began
    for other in all_of_them:
        other.side.settle()
    time.sleep(REST_SECONDS)
    began = time.perf_counter()
    driver.stop()
    driver.start()
    values[RESTART.title] = time.perf_counter() - began
    driver.page()
    driver.stop()
    one.side.settle()
    values[REQUESTS.title] = (one.counter.requests - requests) / 2
    values[CPU.title] = (one.hub_cpu() - cpu) / 2
    return values


@contextmanager
def _ours(admin: Admin, namespace: str, address: str, folder: Path) -> Iterator[list[Contestant]]:
    """Ours, twice: a shape that waits, and one that is made when somebody comes."""

    def two_shapes(data: dict[str, object]) -> None:
        flavors: list[dict[str, object]] = data["flavors"]  # type: ignore[assignment]
        flavors[1:] = [{**flavors[0], "id": "cold", "warm": 0}]

    folder.mkdir()
    with counting(admin.kubeconfig, folder) as counter:
        pool = KubernetesPool(namespace=namespace, kubeconfig=counter.kubeconfig, pull_policy="Never")
        with running_stack(folder / "state", settings=write_settings(folder, pool, address, two_shapes)) as stack:
            ledger = open_ledger(stack.settings.ledger)
            try:
                sides = [
                    Side(
                        name,
                        stack.url,
                        stack.token,
                        is_final(ledger, 1),
                        lambda: None,
                        lambda: None,
                        options,
                        parts_in(stack),
                    )
                    for name, options in ((OURS, {"flavor": "cpu-basic"}), (COLD, {"flavor": "cold"}))
                ]
                (hub,) = stack.pids("hub")
                yield [Contestant(side, counter, lambda: _cpu_seconds(hub)) for side in sides]
            finally:
                ledger.close()


@contextmanager
def stock_hub(admin: Admin, namespace: str, address: str, folder: Path) -> Iterator[Contestant]:
    """JupyterHub with KubeSpawner as it comes, on this machine like ours."""
    folder.mkdir()
    given = {
        "address": address,
        "port": free_port(),
        "hub_port": free_port(),
        "proxy_api_port": free_port(),
        "token": secrets.token_hex(16),
        "namespace": namespace,
        "image": LIGHT,
    }
    with counting(admin.kubeconfig, folder) as counter, (folder / "hub.log").open("wb") as log:
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(PROJECT / "tests" / "bench" / "stock_kube.py")],
            cwd=folder,
            env={
                **plain_environment(),
                "PATH": f"{tools(folder)}:{os.environ.get('PATH', os.defpath)}",
                "KUBECONFIG": str(counter.kubeconfig),
                "BENCH_STOCK": json.dumps(given),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        url = f"http://{address}:{given['port']}"

        try:
            wait_ready(hub, url, folder / "hub.log")
            # Its stop returns when the pod is gone, so there is nothing more to wait for.
            side = Side(STOCK, url, str(given["token"]), lambda: None, lambda: None, lambda: None)
            yield Contestant(side, counter, lambda: _cpu_seconds(hub.pid))
        finally:
            end(hub)


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _held(admin: Admin, namespace: str) -> dict[str, float]:
    """Bytes that a hub keeps of a pod: our record, and the mapping that KubeSpawner's reflector keeps."""
    items = admin.json("get", "pods", "-n", namespace)["items"]
    if not items:
        return {}
    pod = read_pod(items[0])
    return {OURS: _size(pod), COLD: _size(pod), STOCK: _size(items[0])}


def _size(value: object) -> float:
    """Bytes of a value and of all that it holds."""
    inside: list[object] = []
    if isinstance(value, dict):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple)):
        inside = list(value)
    elif hasattr(value, "__dict__"):
        inside = [vars(value)]
    return sys.getsizeof(value) + sum(map(_size, inside))


def _header(n: int) -> str:
    return (
        f"n = {n} per side after one warm-up, interleaved; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}.\n"
        f"Hubs: JupyterHub {version('jupyterhub')} on this machine, each with its own proxy and SQLite; pods of one "
        f"image ({LIGHT}) on one cluster.\nStock: KubeSpawner {version('jupyterhub-kubespawner')}, its defaults, "
        "`jupyterhub-singleuser`. Both reach the API server through a counter.\n"
    )


if __name__ == "__main__":
    main()
