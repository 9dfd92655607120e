"""Text that users, programs, clusters and clouds chose, for a database, a log or a terminal.

PostgreSQL stores no NUL and no lone surrogate, and a terminal obeys escape sequences.
"""

from __future__ import annotations

import logging
import re

_ESCAPE_SEQUENCE = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""All control characters but tab and newline; line and paragraph separators, changes of direction, surrogates."""


def printable(text: str) -> str:
    """Drop escape sequences, and put a space for any other control character. Tabs and newlines stay."""
    return _CONTROL.sub(" ", _ESCAPE_SEQUENCE.sub("", text))


def one_line(text: str | None) -> str:
    """`printable`, in one line with single spaces."""
    return " ".join(printable(text or "").split())


class PlainLogRecord(logging.LogRecord):
    """A log record without control characters: Freepool's own messages are one line, others may have several."""

    def getMessage(self) -> str:
        """The message with its arguments."""
        message = super().getMessage()
        return one_line(message) if self.name.startswith("freepool") else printable(message)

    def __setattr__(self, name: str, value: object) -> None:
        """`exc_text` is the traceback, which a formatter keeps here. It ends with the exception's own message."""
        super().__setattr__(name, printable(value) if name == "exc_text" and isinstance(value, str) else value)


def log_plain_text() -> None:
    """From now on this process logs `PlainLogRecord`s, whatever handlers and formatters there are."""
    logging.setLogRecordFactory(PlainLogRecord)
