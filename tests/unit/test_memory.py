"""The platform asks the kernel to be spared where memory runs out."""

from __future__ import annotations

from pathlib import Path

import pytest

from spawner.local.memory import spare_the_platform


@pytest.mark.parametrize(("before", "after"), [("0\n", "-500"), ("900\n", "-500"), ("-1000\n", "-1000\n")])
def test_the_platform_is_spared_and_never_less_than_its_operator_says(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "oom_score_adj"
    file.write_text(before)
    spare_the_platform(file)
    assert file.read_text() == after


def test_a_user_who_may_not_ask_for_it_goes_on_without(tmp_path: Path) -> None:
    spare_the_platform(tmp_path / "nowhere" / "oom_score_adj")
