"""What the user's page shows of weekly hours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from spawner.catalog import Catalog, Flavor, Membership, Text, rights_of
from spawner.desk.i18n import load_translations
from spawner.desk.user.allowance_view import (
    NONE,
    AllowanceSnapshot,
    FlavorAllowanceView,
    closed,
    flavor_view,
    last_use,
)
from spawner.ledger.pool.run_history import Run
from spawner.ledger.time.rows import GrantSource
from spawner.pool.time.balance import Balance
from tests.unit import make
from tests.unit.make import NOW
from tests.unit.test_history import ENDED, charge, grant

TEXTS = load_translations()
HOUR = 3600
GPU = make.flavor("gpu", allowance={"class": "gpu", "weight": 2})
CLASSES = {"classes": [{"id": "gpu", "title": {"en": "GPU", "zh": "显卡"}, "hours": 10}]}
CATALOG = Catalog.model_validate(make.catalog(make.flavor(), GPU).model_dump(by_alias=True) | {"allowances": CLASSES})
RIGHTS = rights_of(CATALOG, Membership(frozenset()))


def snapshot(left: int | None, held: int = 0) -> AllowanceSnapshot:
    total = None if left is None else 10 * HOUR
    balance = Balance(
        class_id="gpu", title=Text(en="GPU", zh="显卡"), is_unlimited=left is None, total=total,
        used=0 if left is None else 10 * HOUR - left - held, held=held, left=left, week_from=NOW,
        resets_at=NOW + timedelta(days=3),
    )  # fmt: skip
    return AllowanceSnapshot({"gpu": balance})


def view(left: int | None, *, flavor: Flavor = GPU, offered: bool = True, **changes: Any) -> FlavorAllowanceView:
    found = flavor_view(flavor, snapshot(left, **changes), RIGHTS, timedelta(hours=4), "zh-CN", offered=offered)
    assert found is not None
    return found


def test_a_flavor_shows_the_hours_of_its_class() -> None:
    shown = view(2 * HOUR, held=HOUR)
    assert (shown.class_id, shown.title, shown.weight) == ("gpu", "显卡", 2)
    assert (shown.total_seconds, shown.used_seconds, shown.held_seconds) == (10 * HOUR, 7 * HOUR, HOUR)
    assert (shown.left_seconds, shown.blocks, shown.instead) == (2 * HOUR, False, [])
    assert shown.resets_at == NOW + timedelta(days=3)
    assert '"class":"gpu"' in shown.model_dump_json()


def test_a_flavor_without_a_class_shows_none() -> None:
    shown = flavor_view(make.flavor(), snapshot(1), RIGHTS, timedelta(hours=4), "en", offered=True)
    assert shown is None
    assert flavor_view(GPU, NONE, RIGHTS, timedelta(hours=4), "en", offered=True) is None


def test_no_limit_is_no_number() -> None:
    shown = view(None)
    assert (shown.total_seconds, shown.left_seconds, shown.blocks) == (None, None, False)


@pytest.mark.parametrize(("left", "blocks"), [(0, True), (599, True), (600, False)])
def test_a_start_needs_five_minutes_times_the_weight(left: int, blocks: bool) -> None:
    assert view(left).blocks is blocks
    assert view(left).instead == (["small"] if blocks else [])


def test_what_cannot_be_had_anyway_is_not_said_to_lack_hours() -> None:
    assert view(0, offered=False).blocks is False


@pytest.mark.parametrize(
    ("left", "held", "reason"),
    [
        (0, 0, "No hours left this week"),
        (10, 0, "Less than 5 minutes of your hours are left this week"),
        (0, HOUR, "The rest of your hours is set aside for your running notebook"),
    ],
)
def test_a_flavor_without_hours_is_closed_with_the_reason(left: int, held: int, reason: str) -> None:
    changes = closed(view(left, held=held), TEXTS["en"])
    assert changes == {"available": 0, "warm": 0, "queue": False, "wait_seconds": None, "reason": reason}


def test_the_last_run_says_what_it_used_and_why_something_was_given_back() -> None:
    refund = grant(GrantSource.REFUND, seconds=60, reason="slow disk")
    used = last_use(Run(ENDED, charge(refunded=600, refund_reason="lost"), None, (refund,)), CATALOG, TEXTS["en"])
    assert used is not None
    assert (used.title, used.charged_seconds, used.refunded_seconds) == ("GPU", 3600, 660)
    assert used.reasons == ["A problem on our side", "slow disk"]
    assert last_use(Run(ENDED), CATALOG, TEXTS["en"]) is None
    assert last_use(None, CATALOG, TEXTS["en"]) is None
