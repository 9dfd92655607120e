"""Prometheus metrics of the platform's own parts, as the desk sees them. They need no database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from spawner.desk.status import Status
from spawner.settings import Settings

PARTS = ("hub", "proxy", "database")


@dataclass(frozen=True)
class Space:
    """The disk of the state folder, in bytes."""

    free: int
    size: int


def free_space(settings: Settings) -> Space | None:
    """None on a cluster, where ledger and logs are elsewhere."""
    if settings.sockets is None:
        return None
    usage = shutil.disk_usage(settings.state)
    return Space(usage.free, usage.total)


def platform_exposition(status: Status, space: Space | None) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PlatformCollector(status, space))
    return generate_latest(registry)


class PlatformCollector(Collector):
    """One look as metrics."""

    def __init__(self, status: Status, space: Space | None) -> None:
        self.status, self.space = status, space

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        up = GaugeMetricFamily("freepool_part_up", "1 where the part answers the desk, else 0.", labels=["part"])
        for part in PARTS:
            if part in self.status.works:
                up.add_metric([part], self.status.works[part])
        yield up
        if self.status.database_seconds is not None:
            yield GaugeMetricFamily(
                "freepool_database_seconds", "How long one small read took.", value=self.status.database_seconds
            )
        if self.space is not None:
            yield GaugeMetricFamily(
                "freepool_state_free_bytes", "Free space on the disk of the state folder.", value=self.space.free
            )
            yield GaugeMetricFamily(
                "freepool_state_size_bytes", "Size of the disk of the state folder.", value=self.space.size
            )
