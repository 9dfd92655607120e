"""Prometheus metrics of paid instances: counts and alarms. They contain no names and no amounts."""

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
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PaidCollector(read_alarms(connection), now, reaches))
    return generate_latest(registry)


class PaidCollector(Collector):
    """One snapshot as metrics."""

    def __init__(self, snapshot: AlarmSnapshot, now: datetime, reaches: Reach) -> None:
        self.snapshot, self.now, self.reaches = snapshot, now, reaches

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        snapshot = self.snapshot
        yield _by_state(
            "freepool_paid_orders", "Orders of instances in users' cloud accounts.", OrderState, snapshot.orders
        )
        yield _by_state(
            "freepool_paid_bindings", "Cloud accounts that users have linked.", BindingState, snapshot.bindings
        )
        yield _by_state(
            "freepool_paid_consents", "Consents that users were asked for.", ConsentState, snapshot.consents
        )
        found = alarms(snapshot.alive, self.now, reaches=self.reaches, caps=snapshot.caps)
        counts = Counter(alarm.kind for alarm in found)
        family = GaugeMetricFamily(
            "freepool_paid_alarms", "Instances that an administrator must look at, by kind of problem.", labels=["kind"]
        )
        for kind in KINDS:
            family.add_metric([kind], counts[kind])
        yield family
        left = (snapshot.lease_ends_at - self.now).total_seconds() if snapshot.lease_ends_at else 0.0
        yield GaugeMetricFamily(
            "freepool_paid_lease_seconds",
            "Remaining time of the reconciler's lease; 0 or less: no reconciler runs.",
            value=left,
        )
        yield GaugeMetricFamily(
            "freepool_paid_unseen_seconds",
            "Age of the oldest observation of an instance that may be billed; 0: there is none.",
            value=snapshot.unseen_seconds(self.now),
        )
        yield GaugeMetricFamily(
            "freepool_paid_paused",
            "1 while the creation of paid instances is paused.",
            value=float(snapshot.paused is not None),
        )


def _by_state(name: str, text: str, states: Iterable[StrEnum], counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state in states:
        family.add_metric([str(state.value)], counts.get(str(state.value), 0))
    return family
