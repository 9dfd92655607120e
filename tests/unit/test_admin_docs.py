"""docs/admin.md lists every metric, and its commands exist."""

from __future__ import annotations

import re
import shlex

from spawner.cli_parser import build_parser
from spawner.desk.admin.metrics import PoolCollector
from spawner.desk.admin.platform_metrics import PlatformCollector, Space
from spawner.desk.paid.alarms import AlarmSnapshot
from spawner.desk.paid.metrics import PaidCollector
from spawner.desk.status import Status
from spawner.pool.build import utc_now
from tests.stack import PROJECT
from tests.unit.make import SimulatedBackend
from tests.unit.test_metrics import ALLOWANCES, CATALOG, EMPTY

PAGE = (PROJECT / "docs" / "admin.md").read_text()


def test_every_metric_is_in_the_table_and_no_other() -> None:
    table = PAGE.split("| metric | labels | |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(freepool_\w+)`", table))
    assert named == {family.name for family in PoolCollector(EMPTY, CATALOG, SimulatedBackend()).collect()}


def test_every_metric_of_the_platform_is_in_its_table() -> None:
    table = PAGE.split("| platform metric | labels | |")[1].split("\n\n")[0]
    status = Status({"hub": True, "proxy": True, "database": True}, utc_now(), 0.001)
    assert set(re.findall(r"`(freepool_\w+)`", table)) == {
        *(family.name for family in PlatformCollector(status, Space(1, 2)).collect()),
        "freepool_catalog_refused",
    }


def test_the_commands_are_valid() -> None:
    (block,) = [block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if "freepool warm" in block]
    commands = [shlex.split(line, comments=True) for line in block.replace("\\\n", "").splitlines()]
    assert len(commands) == 5
    for program, *words in commands:
        assert program == "freepool"
        assert build_parser().parse_args(words).command == "warm"


def test_every_metric_of_allowances_is_in_its_table() -> None:
    table = PAGE.split("| allowance metric | labels | |")[1].split("\n\n")[0]
    named = {name.removesuffix("_total") for name in re.findall(r"`(freepool_\w+)`", table)}
    assert named == {family.name for family in ALLOWANCES.collect()}


def test_the_commands_of_allowances_are_valid() -> None:
    (block,) = [block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if "freepool grant" in block]
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert [build_parser().parse_args(words).command for _, *words in commands] == [
        "grant",
        "grant",
        "refund",
        "allowance",
    ]


def test_every_metric_of_paid_instances_is_in_its_table() -> None:
    table = PAGE.split("| paid metric | labels | |")[1].split("\n\n")[0]
    snapshot = AlarmSnapshot([], {}, None, None, {}, {}, {})
    assert set(re.findall(r"`(freepool_\w+)`", table)) == {
        family.name for family in PaidCollector(snapshot, utc_now(), lambda *_: True).collect()
    }
