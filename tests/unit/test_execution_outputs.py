"""What a cell shows that the server runs: text as a terminal shows it, displays, and its bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from spawner.instance.execution import cell
from spawner.instance.execution.cell import CUT, Displays, Output, Writer
from spawner.instance.execution.streams import LastLine
from spawner.instance.execution.widgets import TELL_SECONDS, Widgets


class Place:
    """Outputs in memory."""

    def __init__(self, key: str = "cell") -> None:
        self.key = key
        self.outputs: list[Output] = []
        self.writes = 0

    def add(self, output: Output) -> None:
        self.writes += 1
        self.outputs.append(dict(output))

    def extend_text(self, drop: int, text: str) -> None:
        self.writes += 1
        shown = self.outputs[-1]["text"].encode()
        self.outputs[-1]["text"] = shown[: len(shown) - drop].decode() + text

    def replace(self, index: int, output: Output) -> None:
        self.outputs[index] = output

    def clear(self) -> None:
        self.outputs.clear()

    @property
    def text(self) -> str:
        return "".join(output.get("text", "|") for output in self.outputs)


def terminal(text: str) -> str:
    """What a terminal shows, one character after the other."""
    lines, line, cursor = [], [], 0
    for char in text:
        if char == "\n":
            lines.append("".join(line))
            line, cursor = [], 0
        elif char == "\r":
            cursor = 0
        elif char == "\b":
            if cursor:
                cursor -= 1
                del line[cursor]
        else:
            line[cursor : cursor + 1] = [char]
            cursor += 1
    return "\n".join([*lines, "".join(line)])


@given(some.lists(some.text(alphabet="ab进\r\n\b"), min_size=1))
def test_text_in_any_pieces_shows_what_a_terminal_shows(pieces: list[str]) -> None:
    place = Place()
    writer = Writer(place, Displays())
    for piece in pieces:
        writer.write("stream", {"name": "stdout", "text": piece})
        writer.flush()
    assert place.text == terminal("".join(pieces))


def test_a_long_text_is_written_by_what_is_new() -> None:
    line = LastLine()
    line.write("x" * 1000 + "\nlast")
    assert line.write(" line") == (4, " line")
    assert line.text == "last line"


def message(text: str, display: str | None = None) -> dict[str, Any]:
    return {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": display} if display else {}}


def test_text_is_written_once_between_two_flushes() -> None:
    place = Place()
    writer = Writer(place, Displays())
    for _ in range(1000):
        writer.write("stream", {"name": "stdout", "text": "x"})
    writer.flush()
    assert (place.text, place.writes) == ("x" * 1000, 1)


def test_streams_and_displays_keep_their_order() -> None:
    place = Place()
    writer = Writer(place, Displays())
    writer.write("stream", {"name": "stdout", "text": "a"})
    writer.write("stream", {"name": "stderr", "text": "b"})
    writer.write("display_data", message("picture"))
    writer.write("stream", {"name": "stderr", "text": "c"})
    writer.flush()
    assert [one.get("name") for one in place.outputs] == ["stdout", "stderr", None, "stderr"]


def test_a_display_is_updated_wherever_it_is_shown() -> None:
    displays, first, second = Displays(), Place("first"), Place("second")
    Writer(first, displays).write("display_data", message("old", "id"))
    later = Writer(second, displays)
    later.write("display_data", message("old", "id"))
    later.write("update_display_data", message("new", "id"))
    assert [one.outputs[0]["data"] for one in (first, second)] == [{"text/plain": "new"}] * 2
    later.write("clear_output", {})
    later.write("display_data", message("other"))
    later.write("update_display_data", message("newer", "id"))
    assert second.outputs[0]["data"] == {"text/plain": "other"}
    assert first.outputs[0]["data"] == {"text/plain": "newer"}


def test_clearing_may_wait_for_the_next_output() -> None:
    place = Place()
    writer = Writer(place, Displays())
    writer.write("stream", {"name": "stdout", "text": "old"})
    writer.write("clear_output", {"wait": True})
    writer.flush()
    assert place.text == "old"
    writer.write("stream", {"name": "stdout", "text": "new"})
    writer.flush()
    assert place.text == "new"


def test_endless_output_ends_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "MOST_OUTPUTS", 3)
    place = Place()
    writer = Writer(place, Displays(), text_room=10)
    for _ in range(100):
        writer.write("stream", {"name": "stdout", "text": "12345678"})
        writer.flush()
    assert place.text == "1234567812" + CUT
    for number in range(100):
        writer.write("display_data", message(str(number)))
    assert len(place.outputs) == 3


def test_a_widget_captures_output_from_when_it_says_so_until_it_says_otherwise() -> None:
    told: list[tuple[str, list[Output]]] = []
    now = [0.0]
    widgets = Widgets(Displays(), lambda comm, outputs: told.append((comm, list(outputs))), lambda: now[0])

    def capture(message_id: str) -> None:
        widgets.note({"comm_id": "widget", "data": {"method": "update", "state": {"msg_id": message_id}}})

    assert widgets.capturing("request") is None
    capture("request")
    writer = widgets.capturing("request")
    assert writer is not None
    writer.write("stream", {"name": "stdout", "text": "inside"})
    widgets.flush()
    assert told == []  # a tab may not have the widget yet
    for seconds in TELL_SECONDS:
        now[0] = seconds
        widgets.flush()
        widgets.flush()
    assert told == [("widget", [{"output_type": "stream", "name": "stdout", "text": "inside"}])] * 3
    capture("")
    assert widgets.capturing("request") is None
