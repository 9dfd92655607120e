"""The text of a stream as a terminal would show it: backspace, carriage return and newline are applied. Pure."""

from __future__ import annotations


class LastLine:
    """The last line of a growing text, which `\\r` and `\\b` change; what is above it is final."""

    def __init__(self) -> None:
        self.text = ""
        self.is_fresh = True
        """Nothing was written yet."""
        self._cursor = 0

    def write(self, new: str) -> tuple[int, str]:
        """Apply new text. Returns how many characters of the last line stay, and what now follows them.

        As JupyterLab's own output area: `\\n` ends the line at its end, other text replaces what is at the cursor.
        """
        before, self.is_fresh = self.text, False
        if "\r" not in new and "\b" not in new and self._cursor == len(before):
            self.text = (before + new).rpartition("\n")[2]
            self._cursor = len(self.text)
            return len(before), new
        lines, line = [], list(before)
        for char in new:
            if char == "\n":
                lines.append("".join(line))
                line, self._cursor = [], 0
            elif char == "\r":
                self._cursor = 0
            elif char == "\b":
                if self._cursor > 0:
                    self._cursor -= 1
                    del line[self._cursor]
            else:
                line[self._cursor : self._cursor + 1] = [char]
                self._cursor += 1
        self.text = "".join(line)
        shown = "\n".join([*lines, self.text])
        same = _common(before, shown)
        return same, shown[same:]


def _common(one: str, other: str) -> int:
    """How many characters two texts share at their beginning."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    return next(index for index in range(length) if one[index] != other[index])
