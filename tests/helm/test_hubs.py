"""The chart's values for several hubs on one pool."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from sqlalchemy import make_url

from spawner.settings import Settings
from tests.helm.chart import ONE_OF_SEVERAL, POOL, RELEASE, Values, manifest_of, of_kind, render, settings_of

POOLS_OWN = ("Namespace", "ResourceQuota", "LimitRange", "PriorityClass", "DaemonSet", "PersistentVolumeClaim")


def changed(**values: Any) -> Values:
    return {**copy.deepcopy(ONE_OF_SEVERAL), **values}


def test_a_second_hub_knows_the_first_and_has_tables_of_its_own() -> None:
    hubs = {**ONE_OF_SEVERAL["hubs"], "drainTo": "main"}
    settings = Settings.model_validate(settings_of(render(changed(hubs=hubs))))
    assert settings.hubs.others == {"main": "https://a.lab.example.org"}
    assert (settings.hubs.name, settings.hubs.drain_to, settings.hub_schema) == ("b", "main", "hub_b")
    placed = settings.model_copy(update={"ledger_url": "postgresql+psycopg://freepool:a%40b@db:5432/freepool"})
    assert placed.hub_database == f"{placed.ledger}?options=-csearch_path%3Dhub_b"
    own = placed.model_copy(update={"ledger_url": f"{placed.ledger_url}?options=-cstatement_timeout%3D5s"})
    assert make_url(own.hub_database).query["options"] == "-cstatement_timeout=5s -csearch_path=hub_b"


def test_the_pools_own_objects_belong_to_the_first_hub_and_the_way_in_is_each_hubs() -> None:
    second = render(ONE_OF_SEVERAL)
    assert of_kind(second, *POOLS_OWN) == []
    assert {one["metadata"].get("namespace") for one in of_kind(second, "PodDisruptionBudget")} == {None}, (
        "a pod that two budgets select could never be evicted"
    )
    classes = {one["metadata"]["name"] for one in of_kind(render({}), "PriorityClass")}
    assert settings_of(second)["kubernetes"]["priority_class"] in classes
    policy = manifest_of(second, "NetworkPolicy", f"{RELEASE}-instances")
    assert policy["metadata"]["namespace"] == POOL
    assert of_kind(second, "Role"), "its own rights in the pool"


def test_one_hub_has_no_such_section() -> None:
    assert "hubs" not in settings_of(render({}))
    assert Settings.model_validate(settings_of(render({}))).hub_schema is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"existingSecret": "", "database": {"url": "postgresql+psycopg://db/x"}}, "share their secrets"),
        ({"database": {"embedded": {"enabled": True}}}, "PostgreSQL of your own"),
        ({"login": {"settings": {}}}, "provider of their login"),
        ({"models": {"enabled": True}}, "existingClaim"),
        ({"hubs": {"name": "B", "others": {}}}, "hubs"),
        ({"hubs": {"name": "b", "others": {"main": "https://a.example.org/path"}}}, "others"),
        ({"hubs": {"name": "b", "others": {}}}, "name the other hubs"),
        ({"hubs": {"name": "b", "others": {"main": "https://b.lab.example.org:8443"}}}, "host name of its own"),
    ],
)
def test_what_hubs_cannot_share_is_said_before_anything_changes(change: Values, why: str) -> None:
    with pytest.raises(Exception, match=why):
        render(changed(**change))
