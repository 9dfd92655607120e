"""One form of log lines for hub, desk and steward: text, or JSON with one object a line.

`FREEPOOL_LOG_FORMAT` is `text` or `json`, `FREEPOOL_LOG_LEVEL` a level of Python. What a task works for (`about`) is in
each line that it logs meanwhile: the request's id, the person's and the instance's.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from spawner.errors import SetupError

FORMAT_VARIABLE, LEVEL_VARIABLE = "FREEPOOL_LOG_FORMAT", "FREEPOOL_LOG_LEVEL"
FORMATS = ("text", "json")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
CONTEXT = ("request", "person", "instance")
_about: ContextVar[Mapping[str, str]] = ContextVar("freepool_log", default={})  # noqa: B039  (never changed in place)


def note(**known: str) -> None:
    """Have this task's later lines name what it works for; an empty value takes a name away again."""
    unknown = set(known) - set(CONTEXT)
    assert not unknown, unknown
    _about.set({name: value for name, value in {**_about.get(), **known}.items() if value})


def context() -> str:
    """What this task works for, as it ends a line of text: ` [request=… person=… instance=…]`, or nothing."""
    known = " ".join(f"{name}={_about.get()[name]}" for name in CONTEXT if name in _about.get())
    return f" [{known}]" if known else ""


@contextmanager
def about(**known: str) -> Iterator[None]:
    """`note` for the lines of a block."""
    before = _about.set(_about.get())
    try:
        note(**known)
        yield
    finally:
        _about.reset(before)


class TextFormatter(logging.Formatter):
    """Time, logger, level, message, and `[request=… person=… instance=…]`."""

    def __init__(self, *_: object, **__: object) -> None:
        """Takes, and does not use, what `logging.config` gives a formatter."""
        super().__init__("%(asctime)s %(name)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without a traceback."""
        return super().formatMessage(record) + context()


class JsonFormatter(logging.Formatter):
    """One object a line, with `time` (UTC), `level`, `logger`, `message`, and `request`, `person`, `instance`, `trace`
    where there is one."""

    def __init__(self, *_: object, **__: object) -> None:
        """Takes, and does not use, what `logging.config` gives a formatter."""
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
        }
        if record.exc_info:
            record.exc_text = record.exc_text or self.formatException(record.exc_info)
            line["trace"] = record.exc_text
        return json.dumps(line, ensure_ascii=False)


def is_chosen() -> bool:
    """Whether the environment says how to log."""
    return FORMAT_VARIABLE in os.environ


def level() -> str:
    """The level to log from. Raises `SetupError`."""
    return _one_of(LEVEL_VARIABLE, LEVELS, "INFO", str.upper)


def formatter() -> logging.Formatter:
    """The formatter that the environment names. Raises `SetupError`."""
    return JsonFormatter() if _one_of(FORMAT_VARIABLE, FORMATS, "text", str.lower) == "json" else TextFormatter()


def set_up(logger: logging.Logger | None = None) -> None:
    """Log to standard error from now on: everything, or what a logger and those below it are given."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter())
    target = logger or logging.getLogger()
    target.handlers = [handler]
    target.setLevel(level())
    target.propagate = False


def _one_of(variable: str, known: tuple[str, ...], usual: str, fold: Callable[[str], str]) -> str:
    value = fold(os.environ.get(variable) or usual)
    if value not in known:
        raise SetupError(
            "{variable} is {value}.", next_step="Set it to one of: {known}.", variable=variable, value=value,
            known=", ".join(known),
        )  # fmt: skip
    return value
