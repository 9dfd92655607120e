"""How much slots use their GPUs, from NVIDIA's DCGM exporter.

`DCGM_FI_PROF_GR_ENGINE_ACTIVE` is the share of time in which the GPU's engine computed, 0 to 1; it is right for MIG,
too. Memory that is held is not in it. Where pods share a GPU by time-slicing the exporter names no pod: then nothing is
known. The exporter is a DaemonSet, so a headless service's name leads to all of them; so does Prometheus' `/federate`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from urllib.parse import urlsplit

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from spawner.pool.backends.kubernetes.manifest import pod_name

log = logging.getLogger("freepool.backend")
METRIC = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
POD_LABELS = ("exported_pod", "pod", "pod_name")
NAMESPACE_LABELS = ("exported_namespace", "namespace", "pod_namespace")
"""Prometheus renames the exporter's labels where its own have the same names: `pod` is then the exporter's pod."""
SCRAPE_SECONDS = 5.0
LARGEST_ANSWER = 8 * 1024 * 1024


def read_gpus(text: str, namespace: str, slot_ids: Collection[str]) -> dict[str, float]:
    """By slot, the share of its busiest GPU. Raises `ValueError` for what is no exposition of metrics."""
    by_name = {pod_name(slot_id): slot_id for slot_id in slot_ids}
    lines = (line for line in text.splitlines() if METRIC in line)
    found: dict[str, float] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            slot_id = by_name.get(_label(sample.labels, POD_LABELS))
            if slot_id is not None and _label(sample.labels, NAMESPACE_LABELS) == namespace:
                found[slot_id] = max(found.get(slot_id, 0.0), round(min(1.0, max(0.0, float(sample.value))), 3))
    return found


def _label(labels: dict[str, str], names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if name in labels), "")


class GpuMetrics:
    """Scrapes every address that the URL's name has."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace

    async def read(self, slot_ids: Collection[str]) -> dict[str, float]:
        """By slot, the share of its busiest GPU. Slots about which no exporter says anything are left out."""
        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
        except (OSError, UnicodeError) as error:
            log.warning("the GPU metrics' address %s is not known: %s", host, error)
            return {}
        hosts = list(dict.fromkeys(str(one[4][0]) for one in addresses))
        if parts.scheme == "https":
            hosts = [host]  # a certificate is for the name
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SCRAPE_SECONDS)) as session:
            answers = await asyncio.gather(*(self._scrape(session, one, host, port) for one in hosts))
        found: dict[str, float] = {}
        for text in answers:
            try:
                new = read_gpus(text, self._namespace, slot_ids)
            except ValueError as error:
                log.warning("the GPU metrics at %s cannot be read: %s", self._url, error)
                continue
            found |= {slot_id: max(share, found.get(slot_id, 0.0)) for slot_id, share in new.items()}
        return found

    async def _scrape(self, session: aiohttp.ClientSession, address: str, host: str, port: int) -> str:
        shown = f"[{address}]" if ":" in address else address
        url = urlsplit(self._url)._replace(netloc=f"{shown}:{port}").geturl()
        body = b""
        try:
            async with session.get(url, headers={"Host": host}, allow_redirects=False) as answer:
                if answer.status != 200:
                    log.warning("the GPU metrics at %s answer %s", url, answer.status)
                    return ""
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > LARGEST_ANSWER:
                        log.warning("the GPU metrics at %s are too long; name the one metric in the URL", url)
                        return ""
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            log.warning("the GPU metrics at %s cannot be read: %s", url, error or type(error).__name__)
            return ""
        return body.decode(errors="replace")
