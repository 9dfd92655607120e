"""What Prometheus gets in states that matter: the platform's own collectors compute the samples from rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from spawner.desk.admin.catalog_metrics import catalog_exposition
from spawner.desk.admin.channels import ChannelCollector, ChannelSnapshot
from spawner.desk.admin.metrics import PoolCollector, Scrape
from spawner.desk.admin.platform_metrics import PlatformCollector, Space
from spawner.desk.paid.alarms import AlarmSnapshot
from spawner.desk.paid.metrics import PaidCollector
from spawner.desk.status import Status
from spawner.ledger import EndReason, InstanceState, SlotState, TicketState
from spawner.ledger.channels.messages import Delivery
from spawner.ledger.channels.rows import ChannelKind
from spawner.ledger.paid.rows import Order, OrderState
from spawner.ledger.pool.admin_settings import AdminSetting
from spawner.pool.admin.settings import DRAIN, PAUSE, AdminSettings
from spawner.pool.statistics import Day
from spawner.pool.warm.demand import NO_DEMAND, WarmSnapshot
from tests.paid.make import order
from tests.unit import make
from tests.unit.make import NOW, SimulatedBackend

Sample = tuple[str, dict[str, str], float]
Samples = list[Sample]

CATALOG = make.catalog(make.flavor("small", limit=5, warm=2), make.flavor("large", limit=1))
NO_NODE = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No victims."
CORDONED = "0/3 nodes are available: 1 Insufficient memory, 2 node(s) were unschedulable. preemption: …"
QUOTA = 'pods "s" is forbidden: exceeded quota: freepool, requested: pods=1, used: pods=28, limited: pods=28'


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def _samples(text: bytes) -> Samples:
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    ]


def _collected(*collectors: Collector) -> Samples:
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return _samples(generate_latest(registry))


def platform(*, away: str = "", seconds: float = 0.002, space: Space | None = None) -> Samples:
    """All parts work but `away`."""
    works = {part: part != away for part in ("pages", "hub", "queue", "database", "proxy")}
    return _collected(PlatformCollector(Status(works, NOW, seconds if works["database"] else None), space))


def catalog(*, is_refused: bool) -> Samples:
    return _samples(catalog_exposition(None, now=NOW, is_refused=is_refused))


def pool(
    *,
    slots: Iterable[Any] = (),
    waits: float | None = None,
    lease: float = 4,
    failed: int = 0,
    usable: int = 0,
    no_room: str | None = None,
    settings: Iterable[str] = (),
    memory: int | None = None,
) -> Samples:
    """The pool's metrics. `waits`: for how long a ticket for `small` has waited; `no_room`: what the cluster said."""
    ticket = partial(make.ticket, "t", TicketState.WAITING)
    rows = {name: AdminSetting(name, {} if name == DRAIN else True, NOW, "ann") for name in settings}
    failures = [
        make.instance(f"f{number}", InstanceState.ENDED, ended_at=ago(60), reason=EndReason.START_FAILED)
        for number in range(failed)
    ]
    started = [make.instance(f"i{number}", usable_at=ago(60)) for number in range(usable)]
    scrape = Scrape(
        warm=WarmSnapshot(
            list(slots),
            [],
            NO_DEMAND,
            AdminSettings(rows),
            [] if waits is None else [ticket(joined_at=ago(waits))],
        ),
        unended=[],
        without_room=set(),
        day=Day([], started, failures, {}),
        lease_ends_at=NOW + timedelta(seconds=lease),
        now=NOW,
        no_room={} if no_room is None else {"small": no_room},
    )
    return _collected(PoolCollector(scrape, CATALOG, SimulatedBackend(memory)))


WARM = [make.slot("w")]
ALL_IN_USE = [make.slot(f"c{number}", SlotState.CLAIMED, holder_id=f"i{number}") for number in range(5)]
OTHERS_USE_MEMORY = [make.slot("l", SlotState.CLAIMED, holder_id="l", flavor="large")]
MAINTENANCE, PAUSED = (DRAIN,), (PAUSE + "small",)


def channels(*, late: float) -> Samples:
    """The oldest mail that could not be sent is so old, in seconds."""
    deliveries = {ChannelKind.EMAIL: Delivery(late=1, late_since=ago(late)), ChannelKind.WEBHOOK: Delivery()}
    return _collected(ChannelCollector(ChannelSnapshot(deliveries, {}), NOW))


def paid(*orders: Order, lease: float = 20, cap: str = "5.00") -> Samples:
    snapshot = AlarmSnapshot(list(orders), {}, None, NOW + timedelta(seconds=lease), {}, {}, {}, {"c-o1": cap})
    return _collected(PaidCollector(snapshot, NOW, lambda *_: True))


RUNNING = order(state=OrderState.ACTIVE, seen_at=NOW, active_at=NOW, auto_stop_set_at=NOW, spent="5.00")


def running(**changes: Any) -> Order:
    return replace(RUNNING, **changes)


def unknown(*, posted: float) -> Order:
    return order(state=OrderState.UNKNOWN, posted_at=ago(posted))
