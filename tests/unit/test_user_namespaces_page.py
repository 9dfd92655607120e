"""User namespaces in the ledger and on the administrator's page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spawner.catalog import Accelerator
from spawner.desk.admin.state import AdminStateBuilder, read_admin
from spawner.desk.admin.views import UserNamespacesView
from spawner.desk.i18n import load_translations
from spawner.desk.views import UserView
from spawner.ledger import open_ledger
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.ledger.pool import user_namespaces
from spawner.pool.backends.kubernetes.backend import KubernetesBackend
from spawner.pool.user_namespaces import (
    RETRY_AFTER,
)
from tests.unit import make
from tests.unit.make import GIB, NOW
from tests.unit.user_namespaces import POOL, REFUSED, WORKS

# --- the ledger ------------------------------------------------------------------------------------------------------


def test_the_last_observation_of_a_node_is_kept_and_pruned(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    try:
        later = replace(WORKS, works=False, detail="no sandbox", noted_at=NOW)
        for tried in (WORKS, REFUSED, later):
            ledger.write(user_namespaces.note, tried)
        assert ledger.read(user_namespaces.all_of) == [later, REFUSED]
        assert ledger.write(user_namespaces.prune, before=NOW) == 1
        assert ledger.read(user_namespaces.all_of) == [later]
    finally:
        ledger.close()


# --- the administrator's page ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "on", "off"),
    [
        (
            "en",
            "User namespaces are on. Nodes that support them: node-1.",
            "User namespaces are off, because a node does not support them: node-2.",
        ),
        ("zh-CN", "用户命名空间已启用。支持的节点：node-1。", "用户命名空间已关闭，因为有节点不支持：node-2。"),
    ],
)
def test_the_administrators_page_shows_the_decision_and_its_reason(
    tmp_path: Any, language: str, on: str, off: str
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    ledger = open_ledger(url)
    gpu = make.flavor("gpu", accelerator=Accelerator(name="A10", memory=GIB))
    catalog = make.catalog(make.flavor(), gpu)

    def users(backend: Any) -> list[UserNamespacesView | None]:
        moment = ledger.read(read_admin, limits=catalog.limits, now=NOW)
        board = AdminStateBuilder(moment, catalog, backend, load_translations()[language], NOW)
        return [flavor.user_namespaces for flavor in board.state(UserView(name="ann", admin=True)).flavors]

    try:
        ledger.write(user_namespaces.note, WORKS)
        small, with_devices = users(KubernetesBackend(POOL))
        assert small == UserNamespacesView(enabled=True, text=on, details="", until=None)
        assert with_devices is not None
        assert not with_devices.own
        ledger.write(user_namespaces.note, REFUSED)
        small, _ = users(KubernetesBackend(POOL))
        assert small == UserNamespacesView(
            enabled=False, text=off, details="no sandbox", until=REFUSED.noted_at + RETRY_AFTER
        )
        assert users(make.SimulatedBackend()) == [None, None], "one machine has no nodes"
    finally:
        ledger.close()
