"""The words of an open link's page: what each machine type lacks for an example, or how many of it are free."""

from __future__ import annotations

from typing import Any

import pytest

from spawner.desk.i18n import load_translations
from spawner.desk.open.describe import choices
from spawner.desk.user.views import AcceleratorView, ExampleView, FlavorView, NeedsView
from tests.unit.make import GIB


def flavor(name: str, **changes: Any) -> FlavorView:
    fields = {
        "title": name, "summary": "", "cpu": 2, "memory_bytes": 4 * GIB, "disk_bytes": 8 * GIB, "accelerator": None,
        "session_seconds": 3600, "available": 3, "warm": 1, "in_line": 0, "queue": True, "wait_seconds": None,
        "reason": None,
    }  # fmt: skip
    return FlavorView(id=name, **(fields | changes))


def example(**needs: int) -> ExampleView:
    seconds = needs.pop("seconds", 60)
    wanted = NeedsView(**{"memory_bytes": GIB, "disk_bytes": 0, "accelerator_memory_bytes": None} | needs)
    return ExampleView(
        id="x", title="X", summary="", path="x.ipynb", image="light", seconds=seconds, icon="", available=True,
        reason=None, needs=wanted, fits=[], download=None,
    )  # fmt: skip


GPU = AcceleratorView(name="A10", count=1, memory_bytes=24 * GIB)


@pytest.mark.parametrize(
    ("needs", "accelerator", "english", "chinese"),
    [
        ({}, None, "3 available", "空闲 3 个"),
        ({"memory_bytes": 5 * GIB}, None, "Needs 5 GB memory", "需要 5 GB 内存"),
        ({"disk_bytes": 9 * GIB}, None, "Needs 9 GB disk", "需要 9 GB 磁盘空间"),
        ({"accelerator_memory_bytes": 16 * GIB}, None, "Needs a GPU with 16 GB memory", "需要显存 16 GB 的 GPU"),
        ({"accelerator_memory_bytes": 40 * GIB}, GPU, "Needs a GPU with 40 GB memory", "需要显存 40 GB 的 GPU"),
        ({"accelerator_memory_bytes": 16 * GIB}, GPU, "3 available", "空闲 3 个"),
        ({"seconds": 3601}, None, "Sessions are too short for this", "可用时长不足"),
    ],
)
def test_a_machine_type_says_what_it_lacks_for_an_example_and_then_cannot_be_chosen(
    needs: dict[str, int], accelerator: AcceleratorView | None, english: str, chinese: str
) -> None:
    texts, given = load_translations(), [flavor("only", accelerator=accelerator)]
    for language, expected in (("en", english), ("zh-CN", chinese)):
        (choice,) = choices(given, example(**needs), "only", texts[language])
        assert choice.text.replace("\N{NO-BREAK SPACE}", " ") == expected
        assert choice.is_open == choice.checked == ("available" in english)


def test_nothing_is_known_of_what_a_file_from_outside_needs() -> None:
    texts = load_translations()["en"]
    small = flavor("small", memory_bytes=1, disk_bytes=1, session_seconds=1)
    assert [one.is_open for one in choices([small], None, "", texts)] == [True]
