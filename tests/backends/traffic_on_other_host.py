"""Run by `test_traffic.py` on another host: slots there send as much as they can.

    python -m tests.backends.traffic_on_other_host FOLDER IMAGES MEANS

One slot has limits, the other none. Prints what was seen as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spawner.pool.backends.local import traffic
from spawner.pool.backends.local.backend import LocalBackend
from spawner.pool.backends.local.network import Means, Network, TrafficLimits
from spawner.steward.guard_known import PORTS, known_programs
from tests.backends.conformance import START_SECONDS, destroy, spec
from tests.backends.conftest import EXAMPLES

PLACE, REFUSED = "203.0.113.80", "10.99.3.7"
LIMITS = TrafficLimits(upload_megabits=8, connections=20, new_connections=0, packets=100)
NONE = TrafficLimits(0, 0, 0, 0)
TRIED, SENT, DATAGRAMS = 60, 4_000_000, 3000
PROGRAM = f"""
read -r orders <&"$3"; report=${{orders##*'"report": '}}; echo warm >&"${{report%%[,\\}}]*}}"
exec 2>/dev/null
(: <>/dev/tcp/{REFUSED}/443)
cp /bin/sleep /tmp/xmrig
(/tmp/xmrig 600 &)
exec {{mine}}<>/dev/tcp/{PLACE}/3333
head -c {SENT} /dev/zero >/dev/tcp/{PLACE}/5001
echo "datagrams are sent" >/dev/tcp/{PLACE}/5002
exec {{out}}<>/dev/udp/{PLACE}/443
for ((n = 0; n < {DATAGRAMS}; n++)); do echo x >&"$out"; done
exec {{out}}>&-
open=0
for ((n = 0; n < {TRIED}; n++)); do (exec {{one}}<>/dev/tcp/{PLACE}/443 && sleep 600) & done
sleep 3
echo "open $(jobs -r | wc -l)"
exec sleep 600
"""


@asynccontextmanager
async def _slot(folder: Path, images: Path, means: Means, limits: TrafficLimits) -> AsyncIterator[dict[str, Any]]:
    """What a slot with these limits could do; the log is read when it is gone."""
    backend = LocalBackend(
        folder=folder,
        images=images,
        examples=EXAMPLES,
        network=Network(means=means, limits=limits),
        traffic_folder=folder.parent / "traffic",
    )
    wanted, seen = spec("sender"), dict[str, Any]()
    await backend.create(wanted)
    try:
        seen["open"] = await _said(folder / wanted.id / "log", "open ")
        seen["use"] = await _use(backend, wanted.id)
        yield seen
    finally:
        await destroy(backend, wanted.id)
    assert backend.traffic is not None
    seen["log"] = [asdict(use) for use in traffic.find(backend.traffic, PLACE)]
    seen["refused"] = [asdict(use) for use in traffic.find(backend.traffic, REFUSED)]
    seen["modes"] = [oct(path.stat().st_mode) for path in (backend.traffic, *backend.traffic.iterdir())]


async def _use(backend: LocalBackend, slot_id: str) -> dict[str, Any]:
    """What the guard sees of it, and whether it can be slowed down."""
    usage = await backend.usage([slot_id], ports=PORTS)
    use = usage.slots[slot_id]
    group = json.loads((backend.folder / slot_id / "orders.json").read_text())["group"]
    return asdict(use) | {
        "known": known_programs(use.names),
        "can_slow": usage.can_slow,
        "slowed": await backend.slow(slot_id, 0.25),
        "quota": _quota(group) if group else None,
    }


def _quota(group: dict[str, Any]) -> int:
    """Microseconds of processor in 100 ms."""
    if group["version"] == 1:
        return int(Path(group["folders"]["cpu"], "cpu.cfs_quota_us").read_text())
    return int(Path(group["folders"]["unified"], "cpu.max").read_text().split()[0])


async def _said(log: Path, word: str) -> int:
    async with asyncio.timeout(START_SECONDS):
        while True:
            for line in log.read_text().splitlines() if log.exists() else ():
                if line.startswith(word):
                    return int(line.removeprefix(word))
            await asyncio.sleep(0.1)  # a file has no event that would be simpler


async def main(folder: Path, images: Path, means: Means) -> None:
    seen: dict[str, Any] = {"me": os.geteuid()}
    for name, limits in (("kept", LIMITS), ("free", NONE)):
        async with _slot(folder / name, images, means, limits) as one:
            seen[name] = one
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    _, where, installed, kind = sys.argv
    asyncio.run(main(Path(where), Path(installed), Means(kind)))
