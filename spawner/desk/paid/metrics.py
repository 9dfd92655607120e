"""What Prometheus reads of the paid path: counts and alarms, and nobody's name or money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from spawner.desk.paid.alarms import KINDS, AlarmSnapshot, alarms, read_alarms
from spawner.ledger.paid.rows import BindingState, ConsentState, OrderState
from spawner.paid.accounts.binding import Reach


def paid_exposition(connection: Connection, *, now: datetime, reaches: Reach) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PaidCollector(read_alarms(connection), now, reaches))
    return generate_latest(registry)


class PaidCollector(Collector):
    """One moment as metrics."""

    def __init__(self, snapshot: AlarmSnapshot, now: datetime, reaches: Reach) -> None:
        self.snapshot, self.now, self.reaches = snapshot, now, reaches

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        snapshot = self.snapshot
        yield _by_state("freepool_paid_orders", "Instances in people's own clouds.", OrderState, snapshot.orders)
        yield _by_state("freepool_paid_bindings", "Links to cloud accounts.", BindingState, snapshot.bindings)
        yield _by_state("freepool_paid_consents", "Questions to people.", ConsentState, snapshot.consents)
        found = Counter(one.kind for one in alarms(snapshot.alive, self.now, reaches=self.reaches))
        alarm = GaugeMetricFamily(
            "freepool_paid_alarms", "Instances that somebody should look at now, by what is wrong.", labels=["kind"]
        )
        for kind in KINDS:
            alarm.add_metric([kind], found[kind])
        yield alarm
        left = (snapshot.keeper_until - self.now).total_seconds() if snapshot.keeper_until else 0.0
        yield GaugeMetricFamily(
            "freepool_paid_lease_seconds",
            "For how long the lease of whoever looks after paid instances still holds; 0 or less: nobody does.",
            value=left,
        )
        yield GaugeMetricFamily(
            "freepool_paid_paused", "1 while nobody can make anything new.", value=float(snapshot.paused is not None)
        )


def _by_state(name: str, text: str, states: Iterable[StrEnum], counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state in states:
        family.add_metric([str(state.value)], counts.get(str(state.value), 0))
    return family
