"""Hours a week in the catalog: its mistakes, the most of a person's policies, and weeks with a change of clocks."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.catalog import Allowances, Catalog, Membership, load_catalog, rights_of
from spawner.desk.i18n import LANGUAGES, load_translations
from spawner.desk.user.ends import last_view
from spawner.ledger import TicketState
from spawner.pool.time.refusals import TICKET_ENDED
from tests.unit import make
from tests.unit.make import TEXT, catalog, flavor
from tests.unit.test_catalog import GOOD, SHIPPED, change, mistakes_of, position_of

CLASSES = """\
allowances:
  timezone: Asia/Shanghai
  classes:
    - id: gpu
      title: {en: GPU, zh: GPU}
      hours: 10
"""


def test_the_shipped_catalog_gives_ten_hours_of_gpu_a_week_and_leaves_cpu_unlimited() -> None:
    shipped = load_catalog(SHIPPED)
    assert [(one.id, one.hours, one.float_share) for one in shipped.allowances.classes] == [("gpu", 10, 0)]
    metered = {one.id for one in shipped.flavors if one.allowance}
    assert metered == {one.id for one in shipped.flavors if one.accelerator}


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        (
            change("cpu: 1", "cpu: 1\n    allowance: {class: gpus}") + CLASSES,
            "allowance:",
            "flavors[0].allowance.class: 'gpus' does not exist. Available: gpu.",
        ),
        (
            change("cpu: 1", "cpu: 1\n    allowance:\n      class: gpu\n      weight: 0") + CLASSES,
            "weight: 0",
            "flavors[0].allowance.weight: input should be greater than 0, but is 0.",
        ),
        (
            GOOD + CLASSES.replace("Asia/Shanghai", "Asia/Shangai"),
            "Shangai",
            "allowances.timezone: value error, must be a time zone, such as Asia/Shanghai, Europe/Berlin or UTC, but "
            "is 'Asia/Shangai'.",
        ),
        (
            GOOD + CLASSES + "policies:\n  - for: everybody\n    allowances:\n      gpus: 4\n",
            "gpus",
            "policies[0].allowances.gpus: 'gpus' does not exist. Available: gpu.",
        ),
        (
            GOOD + CLASSES + "    - {id: gpu, title: {en: G, zh: G}, hours: 1}\n",
            "{id: gpu",
            "allowances.classes[1].id: gpu is used twice. Give each its own id.",
        ),
        (
            GOOD + CLASSES.replace("hours: 10", "hours: ten"),
            "hours: ten",
            "allowances.classes[0].hours: value error, must be a number of hours from 0 to 100000, or unlimited, but "
            "is 'ten'.",
        ),
        (
            GOOD + CLASSES + "      float: 1.5\n",
            "float",
            "allowances.classes[0].float: input should be less than or equal to 1, but is 1.5.",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_line(text: str, where: str, said: str, tmp_path: Path) -> None:
    assert mistakes_of(text, tmp_path) == [f"line {position_of(text, where)}: {said}"]


def _catalog(*policies: dict[str, object], hours: object = 10) -> Catalog:
    made = catalog(flavor(), policies=list(policies))
    classes = [{"id": "gpu", "title": TEXT, "hours": hours}]
    return Catalog.model_validate(made.model_dump(by_alias=True) | {"allowances": {"classes": classes}})


def test_the_most_of_the_policies_for_a_person_counts_in_place_of_the_classs_hours() -> None:
    made = _catalog(
        {"for": {"groups": ["course"]}, "allowances": {"gpu": 40}},
        {"for": {"groups": ["staff"]}, "allowances": {"gpu": "unlimited"}},
        {"for": {"groups": ["guests"]}, "allowances": {"gpu": 2}},
    )
    gpu = made.allowances.classes[0]

    def hours(*groups: str) -> float:
        return rights_of(made, Membership(frozenset(groups))).allowance_hours(gpu)

    assert hours() == 10
    assert hours("guests") == 2
    assert hours("guests", "course") == 40
    assert hours("course", "staff") == math.inf


def test_unlimited_is_written_again_as_it_was_read() -> None:
    made = _catalog(hours="unlimited")
    assert made.allowances.classes[0].hours == math.inf
    assert Catalog.model_validate(made.model_dump(mode="json", by_alias=True)) == made


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", datetime(2026, 3, 5, tzinfo=UTC), 168),
        ("Europe/Berlin", datetime(2026, 3, 25, 12, tzinfo=UTC), 167),  # clocks go forward on 29 March
        ("Europe/Berlin", datetime(2026, 10, 20, 12, tzinfo=UTC), 169),  # and back on 25 October
    ],
)
def test_a_week_has_167_or_169_hours_where_clocks_are_changed(zone: str, day: datetime, hours: int) -> None:
    week = Allowances(timezone=zone).week(day)
    assert week.end - week.start == timedelta(hours=hours)


def test_a_week_begins_at_midnight_of_the_platforms_zone() -> None:
    allowances = Allowances(timezone="Asia/Shanghai", week_starts="sunday")
    week = allowances.week(datetime(2026, 3, 7, 16, 0, tzinfo=UTC))  # Sunday, 8 March, 00:00 in Shanghai
    assert week.start == datetime(2026, 3, 7, 16, 0, tzinfo=UTC)
    assert allowances.week(week.start - timedelta(seconds=1)).end == week.start


@given(
    now=st.integers(0, 15 * 366 * 24 * 3600).map(lambda s: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=s)),
    zone=st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin", "America/Santiago", "Asia/Beirut", "Pacific/Apia"]),
    starts=st.sampled_from(["monday", "saturday", "sunday"]),
)
def test_weeks_follow_each_other_without_a_gap(now: datetime, zone: str, starts: str) -> None:
    allowances = Allowances.model_validate({"timezone": zone, "week_starts": starts})
    week = allowances.week(now)
    assert week.start <= now < week.end
    assert allowances.week(week.end).start == week.end
    assert allowances.week(week.start) == week


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_desk_says_that_a_place_in_the_queue_ended_for_lack_of_hours(language: str) -> None:
    ended = make.ticket("ann", TicketState.FAILED, ended_at=make.NOW, detail=TICKET_ENDED)
    snapshot: Any = SimpleNamespace(last=None, last_ticket=ended, rights=rights_of(catalog(), Membership()))
    texts = load_translations()[language]
    shown = last_view(snapshot, texts, make.NOW)
    assert shown is not None
    assert (shown.text, shown.details) == (texts.say(TICKET_ENDED), "")
