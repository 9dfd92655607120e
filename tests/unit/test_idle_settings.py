"""When a flavor's idle instances are stopped: what a catalog may say."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from spawner.catalog import Flavor
from spawner.catalog.idle import Idle
from spawner.pool.time.idle.rules import Limits, limits_of
from tests.unit import make

GPU = {"name": "GPU", "memory": "8GiB"}


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("{}", Idle(minutes=60)),
        ("{accelerator: {name: GPU, memory: 8GiB}}", Idle(minutes=30, minutes_without_tab=15)),
        ("{idle: off}", None),
        ("{idle: 'off'}", None),
        ("{idle: null}", None),
        ("{idle: 20}", Idle(minutes=20)),
        ("{idle: default}", Idle(minutes=60)),
        ("{idle: {minutes: 40, minutes_without_tab: 10}}", Idle(minutes=40, minutes_without_tab=10)),
    ],
)
def test_a_flavor_says_when(text: str, rules: Idle | None) -> None:
    flavor = make.flavor(**yaml.safe_load(text))
    assert flavor.idle_rules == rules
    assert Flavor.model_validate(flavor.model_dump()).idle_rules == rules, "what is written can be read"


@pytest.mark.parametrize(
    "wrong",
    [4, True, "never", {"minutes": 30, "minutes_without_tab": 40}, {"minutes": 2000}, {"minutes_without_tab": 5}],
)
def test_what_is_no_time_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        make.flavor(idle=wrong)


def test_the_limits_of_a_flavor() -> None:
    assert limits_of(Idle(minutes=40, minutes_without_tab=10), has_gpu=True) == Limits(2400, 600, has_gpu=True)
    assert limits_of(Idle(minutes=40), has_gpu=False) == Limits(2400, 2400)
    assert limits_of(None, has_gpu=False) == Limits(None, None)
