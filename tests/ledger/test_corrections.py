"""Hours that administrators give, take and give back, on both databases, and by `freepool grant` and the like."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from spawner.catalog import Catalog
from spawner.desk.admin.allowance_metrics import AllowanceExposition
from spawner.errors import BadOption, Conflict
from spawner.ledger import Ledger
from spawner.ledger.time import allowance_use
from spawner.ledger.time.rows import Grant, GrantSource
from spawner.pool.time import corrections
from spawner.pool.time.balance import Balance, balances
from tests.ledger.rows import NOW
from tests.ledger.test_history import charged, given
from tests.unit import make

CLASSES = {"timezone": "Asia/Shanghai", "classes": [{"id": "gpu", "title": {"en": "GPU", "zh": "GPU"}, "hours": 10}]}
CATALOG = Catalog.model_validate(
    make.catalog(make.flavor(allowance={"class": "gpu"})).model_dump(by_alias=True) | {"allowances": CLASSES}
)
WEEK = CATALOG.allowances.week(NOW)
HOUR = 3600


def give(ledger: Ledger, hours: float = 2, **changes: Any) -> Grant:
    values: dict[str, Any] = {
        "grant_id": "g1", "person_id": "ann", "class_id": "gpu", "hours": hours, "until": None, "reason": "a course",
        "by": "root", "now": NOW,
    }  # fmt: skip
    return ledger.write(corrections.give, CATALOG, **values | changes)


def refund(ledger: Ledger, instance_id: str = "i1", **changes: Any) -> Grant:
    values: dict[str, Any] = {
        "grant_id": "g1", "instance_id": instance_id, "reason": "slow disk", "by": "root", "now": NOW,
    }  # fmt: skip
    return ledger.write(corrections.refund, CATALOG, **values | changes)


def balance(ledger: Ledger, now: datetime = NOW, person: str = "ann") -> Balance:
    (found,) = ledger.read(balances, CATALOG, person, now)
    return found


def test_hours_are_given_until_the_end_of_the_week_with_who_and_why(ledger: Ledger) -> None:
    made = give(ledger, reason="  a \x1b[31mcourse\n")
    assert (made.seconds, made.valid_from, made.valid_until) == (2 * HOUR, NOW, WEEK.end)
    assert (made.source, made.made_by, made.reason) == (GrantSource.ADMIN, "root", "a course")
    assert balance(ledger).left == 12 * HOUR
    assert balance(ledger, person="bob").left == 10 * HOUR
    assert balance(ledger, WEEK.end).left == 10 * HOUR


def test_hours_can_be_given_for_weeks_and_taken_away(ledger: Ledger) -> None:
    give(ledger, until=corrections.end_of_weeks(CATALOG, NOW, 2))
    assert balance(ledger, WEEK.end).left == 12 * HOUR
    assert balance(ledger, WEEK.end + timedelta(days=7)).left == 10 * HOUR
    give(ledger, -5, grant_id="g2")
    assert balance(ledger).left == 7 * HOUR
    give(ledger, -100, grant_id="g3")
    assert balance(ledger).left == 0


def test_a_form_that_is_sent_twice_gives_once(ledger: Ledger) -> None:
    assert give(ledger) == give(ledger, now=NOW + timedelta(seconds=5))
    assert balance(ledger).left == 12 * HOUR
    for changes in ({"person_id": "bob"}, {"hours": 3}, {"reason": "another"}):
        with pytest.raises(Conflict, match="already sent"):
            give(ledger, **changes)


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "0", "-0", "1e-9", "1000.5", "-1001", "1,5"])
def test_no_other_number_of_hours_is_given(text: str) -> None:
    with pytest.raises(BadOption, match="not a valid number of hours"):
        corrections.hours_of(text)


@pytest.mark.parametrize(("text", "hours"), [("0.5", 0.5), (" -2 ", -2), ("\u22122", -2), ("1000", 1000)])
def test_numbers_of_hours(text: str, hours: float) -> None:
    assert corrections.hours_of(text) == hours


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_id": "tpu"}, "Unknown class of hours: 'tpu'. Available: gpu."),
        ({"reason": " \n"}, "The reason is missing."),
        ({"reason": "x" * 201}, "at most 200 characters"),
        ({"until": NOW}, "within the next year"),
        ({"until": NOW + timedelta(days=367)}, "within the next year"),
    ],
)
def test_what_cannot_be_given_is_said(ledger: Ledger, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption) as refused:
        give(ledger, **changes)
    assert message in str(refused.value)
    assert ledger.read(allowance_use.grants_of, "ann", at_most=9) == []


def test_a_run_is_given_back_once_and_only_what_was_not_given_back_before(ledger: Ledger) -> None:
    charged(ledger, "i1", seconds=HOUR, refunded=600, refund_reason="lost")
    made = refund(ledger)
    assert (made.person_id, made.seconds, made.reference, made.source) == ("ann", 3000, "i1", GrantSource.REFUND)
    assert made.valid_until == WEEK.end
    assert refund(ledger) == made
    with pytest.raises(Conflict, match="nothing left to give back"):
        refund(ledger, grant_id="g2")
    assert balance(ledger).left == 10 * HOUR - 3000 + 3000


def test_the_form_of_one_run_does_not_give_back_another(ledger: Ledger) -> None:
    charged(ledger, "i1", seconds=HOUR)
    charged(ledger, "i2", seconds=HOUR)
    refund(ledger)
    with pytest.raises(Conflict, match="already sent"):
        refund(ledger, "i2")


def test_the_metrics_are_read_once_a_minute_and_again_when_the_week_or_the_clock_changes(ledger: Ledger) -> None:
    exposition = AllowanceExposition(CATALOG)

    def charged_total(now: datetime) -> float:
        text = ledger.read(exposition, now=now).decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return float(values['freepool_allowance_seconds_charged_total{class="gpu"}'])

    charged(ledger, "i1", seconds=100)
    assert charged_total(NOW) == 100
    charged(ledger, "i2", seconds=10)
    assert charged_total(NOW + timedelta(seconds=59)) == 100
    assert charged_total(NOW + timedelta(seconds=60)) == 110
    charged(ledger, "i3", seconds=1)
    assert charged_total(NOW) == 111  # the clock was set back
    assert charged_total(WEEK.end + timedelta(seconds=1)) == 0


def test_a_run_without_a_charge_is_not_given_back(ledger: Ledger) -> None:
    given(ledger, "x", reference="i1")
    with pytest.raises(BadOption, match="No hours were charged"):
        refund(ledger)
