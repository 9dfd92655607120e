"""Writes what a kernel sends about one run of a cell into the cell of the shared notebook.

Bounded: a run can fill neither the server's memory nor the notebook. Text is written a few times a second at most
(`flush`), however often the kernel sends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from spawner.instance.execution.streams import LastLine

LARGEST_TEXT = 4_000_000
"""Characters that one run may print into its cell: some 100,000 lines. Browsers get slow long before."""
LARGEST_TOTAL = 64_000_000
"""Characters of everything else that one run may show: pictures and tables."""
MOST_OUTPUTS = 10_000
CUT = (
    "\n[Freepool: the output is longer than a notebook can hold. What came after this is not kept. "
    "Write long output to a file.]\n"
)
OUTPUTS = {"stream", "display_data", "execute_result", "error"}
Message = Mapping[str, Any]
Output = dict[str, Any]


class Outputs(Protocol):
    """Where outputs go: a cell of the notebook, or an Output widget. `key` names the place."""

    key: str

    def add(self, output: Output) -> None:
        """Append one output."""

    def extend_text(self, drop: int, text: str) -> None:
        """Remove `drop` bytes at the end of the last output text, and append."""

    def replace(self, index: int, output: Output) -> None:
        """Replace one output; nothing where it is gone."""

    def clear(self) -> None:
        """Remove all."""


class Displays:
    """Where the displays of one kernel are, by their ids: a later cell may update them."""

    def __init__(self) -> None:
        self._places: dict[str, dict[tuple[str, int], Outputs]] = {}

    def add(self, display: str, to: Outputs, index: int) -> None:
        """One more place that shows it."""
        if display in self._places or len(self._places) < MOST_OUTPUTS:
            self._places.setdefault(display, {})[to.key, index] = to

    def update(self, display: str, output: Output) -> None:
        """Show something else in all its places."""
        for (_, index), to in self._places.get(display, {}).items():
            to.replace(index, output)

    def forget(self, key: str) -> None:
        """A place was cleared."""
        for display, places in list(self._places.items()):
            for one in [one for one in places if one[0] == key]:
                del places[one]
            if not places:
                del self._places[display]


@dataclass
class Writer:
    """One place for outputs, with what is needed to write them well."""

    to: Outputs
    displays: Displays
    text_room: int = LARGEST_TEXT
    room: int = LARGEST_TOTAL
    count: int = 0
    _stream: str = ""
    _pending: list[str] = field(default_factory=list)
    _line: LastLine = field(default_factory=LastLine)
    _clear_first: bool = False
    _is_cut: bool = False

    def write(self, kind: str, content: Message) -> None:
        """Take a message of the kernel's. Text waits for `flush`."""
        if kind == "clear_output":
            self._clear_first = True
            if not content.get("wait"):
                self._clear()
        elif kind == "update_display_data":
            self._update(content)
        elif kind == "stream":
            self._text(str(content["name"]), str(content["text"]))
        elif kind in OUTPUTS:
            self._add(_output(kind, content), display_id(content))

    def _text(self, name: str, text: str) -> None:
        if name != self._stream or self._clear_first:
            self.flush()
            if self._clear_first:
                self._clear()
            self._stream, self._line = name, LastLine()
        if self.text_room > 0:
            self._pending.append(text[: self.text_room])
            self.text_room -= len(text)
        self._cut_if(self.text_room <= 0)

    def flush(self) -> None:
        """Write the text that waits."""
        if not self._pending:
            return
        text, self._pending = "".join(self._pending), []
        line = self._line.text
        is_new = self._line.is_fresh
        keep, new = self._line.write(text)
        if is_new:
            self._append({"output_type": "stream", "name": self._stream, "text": new})
        elif new or keep < len(line):
            self.to.extend_text(len(line.encode()) - len(line[:keep].encode()), new)

    def _add(self, output: Output, display: str | None) -> None:
        self.flush()
        if self._clear_first:
            self._clear()
        self._stream = ""
        size = len(json.dumps(output, default=str))
        self._cut_if(size > self.room or self.count >= MOST_OUTPUTS)
        if size > self.room or self.count >= MOST_OUTPUTS:
            return
        self.room -= size
        if display is not None:
            self.displays.add(display, self.to, self.count)
        self._append(output)

    def _append(self, output: Output) -> None:
        self.to.add(output)
        self.count += 1

    def _update(self, content: Message) -> None:
        self.flush()
        self.displays.update(display_id(content) or "", _output("display_data", content))

    def _clear(self) -> None:
        self._pending, self._clear_first, self._stream, self.count = [], False, "", 0
        self.text_room, self.room, self._is_cut = LARGEST_TEXT, LARGEST_TOTAL, False
        self.displays.forget(self.to.key)
        self.to.clear()

    def _cut_if(self, is_full: bool) -> None:
        if is_full and not self._is_cut:
            self._is_cut = True
            self.flush()
            self._stream = ""
            self._append({"output_type": "stream", "name": "stderr", "text": CUT})


def display_id(content: Message) -> str | None:
    """The id by which a display can be updated later."""
    found = content.get("transient", {}).get("display_id")
    return str(found) if found is not None else None


def _output(kind: str, content: Message) -> Output:
    """A message's content as an output of a notebook."""
    names = {
        "display_data": ("data", "metadata"),
        "execute_result": ("data", "metadata", "execution_count"),
        "error": ("ename", "evalue", "traceback"),
    }[kind]
    return {"output_type": kind, **{name: content.get(name) for name in names}}


class SharedCell:
    """A code cell of a shared notebook: a map of pycrdt. `find` gets the map with an id, None where it is gone.

    A cell that its user moves while it runs is another map afterwards. What comes for one that was deleted is dropped.
    """

    def __init__(self, ycell: Any, find: Callable[[str], Any]) -> None:
        self.key: str = ycell["id"]
        self._ycell = ycell
        self._find = find

    def _live(self) -> Any:
        try:
            self._ycell["id"]
        except KeyError:
            self._ycell = self._find(self.key)
            if self._ycell is None:
                self._ycell = {}
                return None
        return self._ycell

    def begin(self) -> None:
        """A run begins: no outputs, no number."""
        if ycell := self._live():
            with ycell.doc.transaction():
                del ycell["outputs"][:]
                ycell["execution_count"] = None
                ycell["execution_state"] = "running"

    def end(self, count: int | None, timing: Mapping[str, str] | None) -> None:
        """A run has ended. `timing` goes into the cell's metadata, where JupyterLab records times."""
        if ycell := self._live():
            with ycell.doc.transaction():
                ycell["execution_count"] = count
                ycell["execution_state"] = "idle"
                if timing:
                    ycell["metadata"]["execution"] = dict(timing)

    def add(self, output: Output) -> None:
        """Append one output. The text of a stream is one that grows."""
        from pycrdt import Map, Text

        if ycell := self._live():
            is_stream = output["output_type"] == "stream"
            ycell["outputs"].append(Map({**output, "text": Text(output["text"])}) if is_stream else output)

    def extend_text(self, drop: int, text: str) -> None:
        """Remove `drop` bytes at the end of the last output's text, and append."""
        ycell = self._live()
        if not ycell:
            return
        outputs = ycell["outputs"]
        shared = outputs[-1].get("text") if len(outputs) and hasattr(outputs[-1], "get") else None
        if shared is None or isinstance(shared, (str, list)):  # the user has cleared the outputs meanwhile
            self.add({"output_type": "stream", "name": "stdout", "text": text})
            return
        with ycell.doc.transaction():
            if drop:
                del shared[max(0, len(shared) - drop) :]
            if text:
                shared += text

    def replace(self, index: int, output: Output) -> None:
        """Replace one output, where it is still what was shown."""
        outputs = ycell["outputs"] if (ycell := self._live()) else []
        if index < len(outputs) and "data" in dict(outputs[index]):
            outputs[index] = output

    def clear(self) -> None:
        """Remove all."""
        if ycell := self._live():
            del ycell["outputs"][:]


class WidgetOutputs:
    """An Output widget: its outputs are part of its state. `changed` is called after each change."""

    def __init__(self, key: str, changed: Callable[[], None]) -> None:
        self.key = key
        self.outputs: list[Output] = []
        self._changed = changed

    def add(self, output: Output) -> None:
        """Append one output."""
        self.outputs.append(dict(output))
        self._changed()

    def extend_text(self, drop: int, text: str) -> None:
        """Remove `drop` bytes at the end of the last output's text, and append."""
        shown = self.outputs[-1]["text"].encode()
        self.outputs[-1]["text"] = shown[: len(shown) - drop].decode() + text
        self._changed()

    def replace(self, index: int, output: Output) -> None:
        """Replace one output."""
        if index < len(self.outputs):
            self.outputs[index] = output
            self._changed()

    def clear(self) -> None:
        """Remove all."""
        self.outputs.clear()
        self._changed()
