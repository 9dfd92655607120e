"""Which worker runs which tests, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.cluster.network import is_on_cluster

CLUSTER = "the cluster"
"""What shares the one cluster: one worker runs it, test after test."""
DEMO_CLOUD = "the demo cloud"
"""What shares `demo_stack`: a stack costs processor time while it idles, too, so one worker has it."""
PROVIDER = "a provider"
"""What shares `login_stack`."""
TOGETHER = {
    DEMO_CLOUD: (
        "tests/browser/test_every_page.py",
        "tests/browser/test_paid.py",
        "tests/hub/test_instance_token.py",
        "tests/hub/test_paid.py",
        "tests/hub/test_subdomains.py",
        "tests/paid_desk/",
    ),
    PROVIDER: (
        "tests/login/test_invitations.py",
        "tests/login/test_policies.py",
        "tests/login/test_provider.py",
        "tests/login/test_terms.py",
    ),
}
"""Beginnings of paths by what they share."""
SECONDS = {
    CLUSTER: 900,
    DEMO_CLOUD: 300,
    PROVIDER: 140,
    "tests/hub/test_queue.py": 120,
    "tests/browser/test_people.py": 105,
    "tests/examples/test_examples.py": 95,
    "tests/faults/test_kill.py": 90,
    "tests/hub/test_maintenance_and_webhooks.py": 85,
    "tests/browser/test_closed_lid.py": 80,
    "tests/images/test_built.py": 75,
    "tests/browser/test_newcomer.py": 75,
    "tests/backends/test_unprivileged.py": 70,
    "tests/browser/test_queue.py": 70,
    "tests/browser/test_lab_notices.py": 65,
    "tests/hub/test_many.py": 60,
    "tests/hub/test_failures_of_a_machine.py": 50,
    "tests/browser/test_origins.py": 50,
    "tests/browser/test_save.py": 50,
    "tests/browser/test_outages.py": 50,
    "tests/paid/test_order_failures.py": 45,
    "tests/browser/test_allowances.py": 45,
    "tests/backends/test_traffic.py": 45,
    "tests/backends/test_wiped.py": 45,
    "tests/paid/test_unreliable_cloud.py": 40,
    "tests/paid/test_contract.py": 40,
    "tests/backends/test_isolation.py": 40,
    "tests/backends/test_network.py": 40,
    "tests/browser/test_lab.py": 40,
    "tests/browser/test_live.py": 40,
    "tests/browser/test_looks.py": 40,
    "tests/paid/test_state_machine.py": 35,
    "tests/ledger/test_pool_state_machine.py": 35,
    "tests/session/test_session.py": 35,
    "tests/api/test_schema.py": 30,
    "tests/hub/test_unsandboxed_and_postgresql.py": 30,
    "tests/hub/test_start_and_stop.py": 25,
    "tests/browser/test_cookies.py": 20,
}
"""How long the slow scopes take, roughly: only the order matters. What is not listed takes less than 15 s."""


class WholeFiles(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker all tests of a file, so that what they share is made once; those on the cluster are one file.

    A worker that has nothing left takes the next one.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """What a test is kept together with."""
    path = nodeid.split("::", 1)[0]
    if is_on_cluster(path):
        return CLUSTER
    return next((name for name, paths in TOGETHER.items() if path.startswith(paths)), path)


def move_to_end(items: list[pytest.Item], folder: Path, names: Sequence[str]) -> None:
    """Move the tests of these files of a folder behind its others, in this order. (pytest gives the tests of all.)"""
    here = [index for index, item in enumerate(items) if item.path.parent == folder]
    places = {name: place for place, name in enumerate(names)}
    ordered = sorted((items[index] for index in here), key=lambda item: places.get(item.path.name, -1))
    for index, item in zip(here, ordered, strict=True):
        items[index] = item


def is_quick(item: pytest.Item) -> bool:
    """Whether a test is a unit's, or the ledger's on SQLite, which needs no server."""
    parameters = (
        item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    )
    needs_server = "postgresql" in parameters or any("postgres" in name for name in getattr(item, "fixturenames", ()))
    return item.nodeid.startswith(("tests/unit/", "tests/ledger/")) and not needs_server


def longest_first(nodeid: str) -> int:
    """The order in which workers take scopes: at the end there are only short ones to wait for."""
    return -SECONDS.get(scope_of(nodeid), 0)
