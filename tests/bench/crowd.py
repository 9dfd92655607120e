"""`make bench-crowd`: a crowd that comes at one moment, to ours with some warm slots and to stock KubeSpawner.

Everybody asks once and then only waits, as long as it takes, up to a limit. Who is refused for good, or never gets a
server, is not served. One side after the other, in one run, on the same cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from spawner.ledger import open_ledger
from spawner.refusals import REFUSAL_HEADER
from spawner.settings import KubernetesPool
from tests.bench.cluster import stock_hub
from tests.bench.local import interruptible
from tests.bench.sides import Side, is_final
from tests.bench.table import NOTHING, middle, percentile
from tests.cluster.network import Network, lease
from tests.kubernetes.admin import Admin, script
from tests.kubernetes.conftest import require_images, write_settings
from tests.stack import running_stack

LOOK_SECONDS = 0.2
PLACE_IN_LINE = '"queued"'


@dataclass
class Outcome:
    """What became of a crowd: seconds until somebody's server was ready, and who was turned away at the door."""

    people: int
    served: dict[str, float] = field(default_factory=dict)
    in_line: int = 0
    refused: list[str] = field(default_factory=list)
    slowest_answer: float = 0.0

    def cells(self) -> list[str]:
        """A line of the table."""
        times = list(self.served.values())
        seconds = [middle(times), percentile(times, 0.95), max(times)] if times else []
        return [
            f"{len(self.served)} of {self.people}",
            str(self.people - len(self.served)),
            str(self.in_line),
            *([f"{value:.1f} s" for value in seconds] or [NOTHING] * 3),
        ]


async def crowd(side: Side, people: int, longest: float) -> Outcome:
    """All ask at the same moment; then the hub is asked who has a server, until all have, or nobody waits any more."""
    names = [f"crowd{number}" for number in range(people)]
    outcome = Outcome(people)
    async with httpx.AsyncClient(
        base_url=f"{side.url}/hub/api",
        headers={"Authorization": f"token {side.token}"},
        timeout=longest,
        limits=httpx.Limits(max_connections=people + 5),
    ) as client:
        (await client.post("/users", json={"usernames": names})).raise_for_status()
        began = time.perf_counter()

        async def ask(name: str) -> None:
            answer = await client.post(f"/users/{name}/server", json=dict(side.options) or None)
            outcome.slowest_answer = max(outcome.slowest_answer, time.perf_counter() - began)
            if answer.status_code in (201, 202):
                return
            if PLACE_IN_LINE in answer.headers.get(REFUSAL_HEADER, ""):
                outcome.in_line += 1
            else:
                outcome.refused.append(f"{name}: {answer.status_code} {answer.text[:100]}")

        async def watch() -> None:
            while time.perf_counter() - began < longest and len(outcome.served) < people:
                users = (await client.get("/users", params={"state": "active"})).json()
                for user in users:
                    if user["servers"].get("", {}).get("ready"):
                        outcome.served.setdefault(user["name"], time.perf_counter() - began)
                if asked.done() and not outcome.in_line and not any(user["pending"] for user in users):
                    return  # nobody is on the way any more
                await asyncio.sleep(LOOK_SECONDS)

        asked = asyncio.gather(*map(ask, names))
        await asyncio.gather(asked, watch())
        await asyncio.gather(*(client.delete(f"/users/{name}/server") for name in names))
    return outcome


@contextmanager
def ours(admin: Admin, namespace: str, folder: Path, *, warm: int, limit: int, at_once: int) -> Iterator[Side]:
    """A pool with so many slots that wait, and room for as many as `limit`."""

    def change(data: dict[str, object]) -> None:
        flavors: list[dict[str, object]] = data["flavors"]  # type: ignore[assignment]
        # What one pod sets aside is small enough for all of them to fit on two processors.
        small = {"cpu": 0.75, "memory": "768MiB", "reserve": "512MiB"}
        data["flavors"] = [flavors[0] | small | {"limit": limit, "warm": warm}]
        data["limits"] |= {"start_seconds": 180, "slots_at_once": at_once}  # type: ignore[operator]

    folder.mkdir()
    pool = KubernetesPool(namespace=namespace, kubeconfig=admin.kubeconfig, pull_policy="Never")
    with running_stack(folder / "state", settings=write_settings(folder, pool, ADDRESS, change)) as stack:
        ledger = open_ledger(stack.settings.ledger)
        try:
            side = Side(
                f"ours, {warm} warm", stack.url, stack.token, is_final(ledger, warm), lambda: None, lambda: None
            )
            side.settle()
            yield side
        finally:
            ledger.close()


ADDRESS = "10.244.0.1"
HEADINGS = ["", "served", "not served", "told a place", "p50", "p95", "worst", "slowest answer"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(prog="make bench-crowd", description=__doc__)
    parser.add_argument("-n", type=int, default=20, help="people (%(default)s)")
    parser.add_argument("--warm", type=int, default=5, help="slots that wait in ours (%(default)s)")
    at_once = 2 * (os.cpu_count() or 1)
    parser.add_argument("--at-once", type=int, default=at_once, help="slots that ours makes at once (%(default)s)")
    parser.add_argument("--longest", type=float, default=300, help="seconds that they wait at most (%(default)s)")
    options = parser.parse_args(arguments)
    lease()
    Network().enter()
    admin = Admin(Path(script("ensure", "--built").strip().splitlines()[-1]))
    require_images()
    interruptible()
    namespaces = [f"bench-{name}-{secrets.token_hex(2)}" for name in ("stock", "ours")]
    lines = [HEADINGS]
    try:
        for namespace in namespaces:
            admin.kubectl("create", "namespace", namespace)
        with tempfile.TemporaryDirectory(prefix="freepool-bench-", ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary)
            with stock_hub(admin, namespaces[0], ADDRESS, folder / "stock") as stock:
                lines.append(_line(stock.side, options.n, options.longest))
            _wait_empty(admin, namespaces[0])
            room = {"warm": options.warm, "limit": options.n, "at_once": options.at_once}
            with ours(admin, namespaces[1], folder / "ours", **room) as side:
                lines.append(_line(side, options.n, options.longest))
    except KeyboardInterrupt:
        sys.exit("bench: stopped; its processes are ended")
    finally:
        for namespace in namespaces:
            admin.kubectl("delete", "namespace", namespace, "--wait=false", check=False)
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _line(side: Side, people: int, longest: float) -> list[str]:
    outcome = asyncio.run(crowd(side, people, longest))
    for refusal in outcome.refused[:3]:
        print(f"{side.name}: {refusal}")
    return [side.name, *outcome.cells(), f"{outcome.slowest_answer:.1f} s"]


def _wait_empty(admin: Admin, namespace: str) -> None:
    """What one side has left must not slow the other."""
    admin.kubectl("delete", "pods", "--all", "-n", namespace, "--grace-period=1", "--wait=true")


if __name__ == "__main__":
    main()
