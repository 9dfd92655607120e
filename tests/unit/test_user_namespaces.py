"""User namespaces: what pods show about their nodes, and whether the next pods get one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Accelerator, Flavor, PodFields
from spawner.ledger import SlotState
from spawner.ledger.pool.user_namespaces import NodeSupport
from spawner.pool.backends.base import Phase, SlotSpec, SlotStatus
from spawner.pool.backends.kubernetes.manifest import make_manifest
from spawner.pool.backends.kubernetes.pods import without_user_namespace
from spawner.pool.user_namespaces import (
    NODE_DOWN_AFTER,
    REFRESH_EVERY,
    RETRY_AFTER,
    NamespaceReason,
    Silences,
    decide,
    new_observations,
    silent_since,
)
from tests.unit import make
from tests.unit.make import GIB, NOW, quick
from tests.unit.user_namespaces import CREATING, NO_SANDBOX, POOL, REFUSED, WORKS, pod, status_of_pod


def host_users(flavor: Flavor, *, user_namespace: bool) -> Any:
    """`hostUsers` of a flavor's pod; None, if absent, means the node's users."""
    image = make.image("light").model_copy(update={"reference": "light:1"})
    spec = SlotSpec("s", flavor, image, b"k" * 32, user_namespace=user_namespace)
    return make_manifest(spec, POOL)["spec"].get("hostUsers")


def test_the_catalogs_setting_decides() -> None:
    for host_users_setting in (True, False):
        flavor = make.flavor(pod=PodFields(host_users=host_users_setting))
        for user_namespace in (True, False):
            assert host_users(flavor, user_namespace=user_namespace) is host_users_setting
        catalog = make.catalog(flavor)
        assert decide(catalog, flavor, [WORKS, REFUSED], NOW).why is (
            NamespaceReason.CATALOG_HOST if host_users_setting else NamespaceReason.CATALOG_OWN
        )
        assert decide(catalog, flavor, [], NOW).own is not host_users_setting


def test_without_a_setting_what_nodes_have_shown_decides() -> None:
    assert host_users(make.flavor(), user_namespace=True) is False
    assert host_users(make.flavor(), user_namespace=False) is None


def test_a_flavor_with_devices_gets_no_user_namespace() -> None:
    gpu = make.flavor(accelerator=Accelerator(name="A10", memory=GIB))
    assert decide(make.catalog(gpu), gpu, [WORKS], NOW).why is NamespaceReason.ACCELERATOR
    assert not decide(make.catalog(gpu), gpu, [], NOW).own


def test_user_namespaces_are_used_until_a_node_fails() -> None:
    catalog = make.catalog()
    flavor = catalog.flavors[0]
    assert (decide(catalog, flavor, [], NOW).own, decide(catalog, flavor, [], NOW).why) == (
        True,
        NamespaceReason.UNTRIED,
    )
    works = decide(catalog, flavor, [WORKS], NOW)
    assert (works.own, works.why, works.nodes) == (True, NamespaceReason.WORKS, ("node-1",))
    refused = decide(catalog, flavor, [WORKS, REFUSED], NOW)
    assert (refused.own, refused.why, refused.nodes) == (False, NamespaceReason.REFUSED, ("node-2",))
    assert (refused.details, refused.until) == ("no sandbox", REFUSED.noted_at + RETRY_AFTER)


def test_a_node_that_failed_is_tried_again_later() -> None:
    catalog = make.catalog()
    assert decide(catalog, catalog.flavors[0], [REFUSED], REFUSED.noted_at + RETRY_AFTER).own


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({}, True),
        ({"host_users": True}, True),
        ({"node_selector": {"disk": "fast"}}, False),
        ({"runtime_class": "gvisor"}, False),
    ],
)
def test_a_node_counts_for_all_flavors_whose_pods_may_go_there(other: dict[str, Any], counts: bool) -> None:
    small, large = make.flavor("small", pod=PodFields(**other)), make.flavor("large")
    assert decide(make.catalog(small, large), large, [REFUSED], NOW).own is not counts


def test_a_dropped_flavor_is_ignored() -> None:
    catalog = make.catalog()
    assert decide(catalog, catalog.flavors[0], [replace(REFUSED, flavor="gone")], NOW).own


def status_in_namespace(phase: Phase = Phase.READY, **changes: Any) -> SlotStatus:
    return replace(make.status("s", phase), node="node-1", user_namespace=True, **changes)


def observations(
    status: SlotStatus,
    *tried: NodeSupport,
    age: timedelta = timedelta(minutes=5),
    silences: Silences | None = None,
) -> list[NodeSupport]:
    slot = make.slot("s", SlotState.WARM, created_at=NOW - age)
    return list(new_observations({"s": status}, [slot], tried, NOW, catalog=make.catalog(), silences=silences or {}))


def test_a_running_pod_shows_that_its_node_supports_them() -> None:
    assert observations(status_in_namespace()) == [NodeSupport("small", "node-1", True, "", NOW)]
    for other in (
        status_in_namespace(Phase.CREATING),
        status_in_namespace(Phase.DEAD),
        replace(status_in_namespace(), user_namespace=False),
        replace(status_in_namespace(), node=""),
    ):
        assert observations(other) == []


def test_a_pod_without_a_sandbox_shows_that_its_node_does_not() -> None:
    status = status_in_namespace(Phase.DEAD, lacks_user_namespace=True, detail="no sandbox")
    assert observations(status) == [NodeSupport("small", "node-1", False, "no sandbox", NOW)]
    assert observations(status, WORKS) == [NodeSupport("small", "node-1", False, "no sandbox", NOW)]


def test_known_support_is_not_written_again() -> None:
    assert observations(status_in_namespace(), WORKS) == []
    assert observations(status_in_namespace(), replace(WORKS, noted_at=NOW - REFRESH_EVERY)) != []
    refused = NodeSupport("small", "node-1", False, "no sandbox", NOW)
    assert observations(status_in_namespace(Phase.DEAD, lacks_user_namespace=True, detail="no sandbox"), refused) == []


def test_an_older_pod_does_not_override_a_later_one() -> None:
    refused = NodeSupport("small", "node-1", False, "no sandbox", NOW - timedelta(minutes=2))
    assert observations(status_in_namespace(), refused, age=timedelta(minutes=5)) == []
    assert observations(status_in_namespace(), refused, age=timedelta(minutes=1)) == [
        NodeSupport("small", "node-1", True, "", NOW)
    ]


SILENT = status_in_namespace(Phase.DEAD, lacks_user_namespace=True, is_silent=True, detail="no sandbox")


def test_a_node_that_goes_down_does_not_turn_user_namespaces_off() -> None:
    """One of 49 nodes that support them fails after a pod was bound to it, and creates no sandbox."""
    tried = [replace(WORKS, node=f"node-{number}") for number in range(1, 50)]
    dead = without_user_namespace(status_of_pod(pod(CREATING, NO_SANDBOX)).status, "no sandbox", is_silent=True)
    seen = observations(dead, *tried, age=timedelta(), silences={("small", "node-1"): NOW})
    catalog = make.catalog()
    known = {(observation.flavor, observation.node): observation for observation in [*tried, *seen]}
    assert decide(catalog, catalog.flavors[0], known.values(), NOW).own


@pytest.mark.parametrize("node", ["node-1", "node-2"])
def test_a_node_that_stays_silent_does_not_support_them(node: str) -> None:
    """Also one that has supported them before: its runtime may have been changed."""
    silent = replace(SILENT, node=node)
    refused = [NodeSupport("small", node, False, "no sandbox", NOW)]
    first = {("small", node): NOW - NODE_DOWN_AFTER - timedelta(seconds=20)}
    assert observations(silent, WORKS, age=timedelta(seconds=20), silences=first) == refused
    assert observations(silent, WORKS, age=timedelta(seconds=21), silences=first) == [], (
        "this pod was created in the first minute"
    )
    assert observations(silent, age=timedelta(), silences={("small", node): NOW}) == refused, "no node is known to work"


def test_a_runtime_that_names_user_namespaces_is_believed_at_once() -> None:
    named = replace(SILENT, is_silent=False)
    assert observations(named, WORKS) == [NodeSupport("small", "node-1", False, "no sandbox", NOW)]


def test_a_silent_node_of_another_placement_counts_at_once() -> None:
    apart = make.flavor("apart", pod=PodFields(node_selector={"disk": "fast"}))
    catalog = make.catalog(make.flavor(), apart)
    slot = make.slot("s", SlotState.WARM, created_at=NOW)
    slot = replace(slot, flavor="apart")
    seen = list(new_observations({"s": SILENT}, [slot], [WORKS], NOW, catalog=catalog, silences={}))
    assert [(observation.flavor, observation.works) for observation in seen] == [("apart", False)]


def test_a_silence_begins_with_its_first_pod_and_ends_with_one_that_runs() -> None:
    slot = make.slot("s", SlotState.WARM, created_at=NOW)
    first = silent_since({"s": SILENT}, [slot], {}, NOW)
    assert first == {("small", "node-1"): NOW}
    later = NOW + timedelta(minutes=1)
    assert silent_since({"s": SILENT}, [slot], first, later) == first
    assert silent_since({"s": status_in_namespace()}, [slot], first, later) == first, (
        "it ran before the node fell silent"
    )
    assert silent_since({"s": status_in_namespace()}, [replace(slot, created_at=later)], first, later) == {}
    assert silent_since({}, [], first, NOW + RETRY_AFTER) == {}


@quick
@given(
    st.lists(
        st.sampled_from(
            [
                status_in_namespace(),
                status_in_namespace(Phase.DEAD, lacks_user_namespace=True),
                status_in_namespace(Phase.CREATING),
            ]
        ),
        max_size=6,
    )
)
def test_a_second_pass_records_nothing(statuses: list[SlotStatus]) -> None:
    slots = [make.slot(f"s{number}", SlotState.WARM) for number in range(len(statuses))]
    found = {slot.id: replace(status, id=slot.id) for slot, status in zip(slots, statuses, strict=True)}
    known: dict[tuple[str, str], NodeSupport] = {}
    rest: Any = {"catalog": make.catalog(), "silences": {}}
    for seen in new_observations(found, slots, [], NOW, **rest):
        known[seen.flavor, seen.node] = seen
    assert list(new_observations(found, slots, known.values(), NOW, **rest)) == []
