"""The metrics match the ledger, and the dashboard shows every metric."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from spawner.desk.admin.allowance_metrics import AllowanceCollector
from spawner.desk.admin.metrics import PoolCollector, Scrape, generate_latest
from spawner.ledger import EndReason, Instance, InstanceState, SlotState, StartStep, TicketState
from spawner.ledger.pool.admin_settings import AdminSetting
from spawner.ledger.time.allowance_use import ClassTotals
from spawner.pool.admin.settings import DRAIN, PAUSE, AdminSettings
from spawner.pool.statistics import Day
from spawner.pool.warm.demand import NO_DEMAND, WarmSnapshot
from tests.stack import PROJECT
from tests.unit import make
from tests.unit.make import NOW, SimulatedBackend
from tests.unit.test_statistics import ticket

DASHBOARD: dict[str, Any] = json.loads((PROJECT / "docs" / "grafana" / "freepool.json").read_text())
CATALOG = make.catalog(make.flavor("small", limit=5, warm=2), make.flavor("large", limit=1))
ALLOWANCES = AllowanceCollector({"gpu": ClassTotals(granted=36000, charged=3600, refunded=60, held=7200)})
EMPTY = Scrape(WarmSnapshot([], [], NO_DEMAND, AdminSettings({}), []), [], set(), Day([], [], [], {}), None, NOW)


def exported(
    scrape: Scrape, backend: SimulatedBackend | None = None
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Samples by name and labels."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PoolCollector(scrape, CATALOG, backend or SimulatedBackend()))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def value(scrape: Scrape, name: str, **labels: str) -> float:
    return exported(scrape)[name, frozenset(labels.items())]


def full_scrape() -> Scrape:
    """A snapshot with rows of every kind."""
    started = make.instance("i", requested_at=NOW - timedelta(seconds=90), usable_at=NOW - timedelta(seconds=87))
    ended = make.instance("e", InstanceState.ENDED, ended_at=NOW, reason=EndReason.OUT_OF_MEMORY)
    waited = ticket("t", called=600, joined=700, instance_id="i", expected_low=60, expected_high=200)
    queue = ticket("w", state=TicketState.WAITING, joined=45, flavor="large")
    rows = {name: AdminSetting(name, {} if name == DRAIN else True, NOW, "ann") for name in (DRAIN, PAUSE + "small")}
    return Scrape(
        warm=WarmSnapshot([make.slot("s"), make.slot("g", flavor="gone")], [], NO_DEMAND, AdminSettings(rows), [queue]),
        unended=[started],
        without_room=set(),
        day=Day([waited], [started], [ended], {"i": {StartStep.SLOT_CREATING}}),
        lease_ends_at=NOW + timedelta(seconds=4),
        now=NOW,
    )


def test_rows_are_counted() -> None:
    scrape = full_scrape()
    assert value(scrape, "freepool_slots", flavor="small", state="warm") == 1
    assert value(scrape, "freepool_slots", flavor="gone", state="warm") == 1
    assert value(scrape, "freepool_slots", flavor="large", state="claimed") == 0
    assert value(scrape, "freepool_instances", flavor="small", state="running") == 1
    assert value(scrape, "freepool_queue_length", flavor="large") == 1
    assert value(scrape, "freepool_queue_oldest_seconds", flavor="large") == 45
    assert value(scrape, "freepool_queue_oldest_seconds", flavor="small") == 0
    assert value(scrape, "freepool_flavor_limit", flavor="small") == 5
    assert value(scrape, "freepool_available", flavor="small") == 5
    assert value(scrape, "freepool_warm_target", flavor="small", image="cpu") == 0
    assert value(scrape, "freepool_paused", flavor="small") == 1
    assert value(scrape, "freepool_draining") == 1
    assert value(scrape, "freepool_steward_lease_seconds") == 4
    assert value(scrape, "freepool_endings_last_day", flavor="small", reason="out_of_memory") == 1


def test_starts_and_waits_are_separate_metrics() -> None:
    scrape = full_scrape()
    assert value(scrape, "freepool_starts_last_day", flavor="small", start="cold") == 1
    assert value(scrape, "freepool_starts_last_day", flavor="small", start="warm") == 0
    assert value(scrape, "freepool_start_seconds_sum", flavor="small", start="cold") == 3
    assert value(scrape, "freepool_start_seconds_bucket", flavor="small", start="cold", le="2.0") == 0
    assert value(scrape, "freepool_start_seconds_bucket", flavor="small", start="cold", le="5.0") == 1
    assert value(scrape, "freepool_start_seconds_bucket", flavor="small", start="cold", le="+Inf") == 1
    assert value(scrape, "freepool_wait_seconds_sum", flavor="small") == 100
    assert value(scrape, "freepool_wait_seconds_count", flavor="small") == 1
    assert value(scrape, "freepool_foretold_last_day", flavor="small", wait="within") == 1


def test_a_shortage_says_of_what() -> None:
    crowded = [make.slot("l", SlotState.CLAIMED, holder_id="l", flavor="large")]
    scrape = replace(full_scrape(), warm=replace(EMPTY.warm, slots=crowded), no_room={"large": "exceeded quota: pool"})
    for memory, is_short in ((None, 0), (make.GIB, 1), (2 * make.GIB, 0)):
        found = exported(scrape, SimulatedBackend(memory))
        assert found["freepool_shortage", frozenset({"flavor": "small", "of": "memory"}.items())] == is_short
        assert found["freepool_shortage", frozenset({"flavor": "large", "of": "quota"}.items())] == 1
        assert found["freepool_shortage", frozenset({"flavor": "small", "of": "quota"}.items())] == 0


def test_recent_starts_are_those_of_the_last_15_minutes() -> None:
    def instance(number: int, **changes: Any) -> Instance:
        return make.instance(f"{number}", **changes)

    old, new = NOW - timedelta(minutes=15, seconds=1), NOW - timedelta(minutes=15)
    failed, stopped = EndReason.START_FAILED, EndReason.CANCELLED
    ended = [
        instance(1, ended_at=old, reason=failed),
        instance(2, ended_at=new, reason=failed),
        instance(3, ended_at=NOW, reason=stopped),
        instance(4, ended_at=NOW, reason=EndReason.CRASHED, usable_at=old),
        instance(5, ended_at=NOW, reason=EndReason.NO_IMAGE, flavor="large"),
    ]
    scrape = replace(EMPTY, day=Day([], [instance(6, usable_at=old), instance(7, usable_at=new)], ended, {}))
    assert value(scrape, "freepool_recent_starts", flavor="small", outcome="failed") == 1
    assert value(scrape, "freepool_recent_starts", flavor="large", outcome="failed") == 1
    assert value(scrape, "freepool_recent_starts", flavor="small", outcome="usable") == 1


def test_no_metric_contains_a_user_name() -> None:
    instance = replace(full_scrape().unended[0], user_name="secret-name")
    assert "secret-name" not in str(exported(replace(full_scrape(), unended=[instance])))


def test_an_empty_pool_exports_zeros() -> None:
    assert value(EMPTY, "freepool_steward_lease_seconds") == 0
    assert value(EMPTY, "freepool_warm_target", flavor="small", image="cpu") == 2
    assert value(EMPTY, "freepool_start_seconds_count", flavor="small", start="warm") == 0


def test_the_help_of_a_metric_over_a_day_says_so() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PoolCollector(full_scrape(), CATALOG, SimulatedBackend()))
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        if family.type == "histogram" or family.name.endswith("_last_day"):
            assert "24 hours; not a counter" in family.documentation


def test_allowances_are_counters_of_a_week_and_a_gauge() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ALLOWANCES)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert {
        (sample.name, family.type, sample.labels["class"], sample.value)
        for family in families
        for sample in family.samples
    } == {
        ("freepool_allowance_seconds_granted_total", "counter", "gpu", 36000),
        ("freepool_allowance_seconds_charged_total", "counter", "gpu", 3600),
        ("freepool_allowance_seconds_refunded_total", "counter", "gpu", 60),
        ("freepool_allowance_held_seconds", "gauge", "gpu", 7200),
    }
    assert list(AllowanceCollector({}).collect()) == []


def _named(expression: str) -> set[str]:
    return {re.sub(r"_(bucket|total)$", "", name) for name in re.findall(r"\bfreepool_[a-z_]+", expression)}


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    shown = {name for expression in expressions for name in _named(expression)}
    families = (*PoolCollector(full_scrape(), CATALOG, SimulatedBackend()).collect(), *ALLOWANCES.collect())
    assert shown == {family.name for family in families}


def test_the_dashboard_uses_labels_that_exist() -> None:
    labels = {label for _, pairs in exported(full_scrape()) for label, _ in pairs} | {"le", "class"}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            grouped = {name for names in re.findall(r"by \(([^)]*)\)", target["expr"]) for name in names.split(", ")}
            selected = set(re.findall(r"(\w+)=~?\"", target["expr"]))
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert grouped | selected | legend <= labels


def test_the_dashboard_has_no_fixed_data_source() -> None:
    assert (DASHBOARD["uid"], DASHBOARD.get("id")) == ("freepool", None)
    assert [entry["name"] for entry in DASHBOARD["templating"]["list"] if entry["type"] == "datasource"] == [
        "datasource"
    ]
    for panel in DASHBOARD["panels"]:
        for part in (panel, *panel.get("targets", ())):
            if "datasource" in part:
                assert part["datasource"]["uid"] == "${datasource}"
