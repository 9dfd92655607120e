"""Text from outside is cleaned before it reaches a log or a terminal."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.errors import SlotFailed
from spawner.plain_text import log_plain_text, one_line, printable
from tests.unit.make import quick


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a\0b", "a b"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.org\x1b\\link", "link"),
        ("\x9b2Jtext\x9d0;title\x9c", "text"),
        ("\x1b]0;no end", ""),
        ("\x1bc", " c"),
        ("10 %\r20 %", "10 % 20 %"),
        ("\u202egpj.exe\u2066", " gpj.exe "),
        ("\ud800", " "),
        ("猫 😀 é\tand\nmore", "猫 😀 é\tand\nmore"),
    ],
)
def test_control_characters_are_removed(text: str, plain: str) -> None:
    assert printable(text) == plain


@quick
@given(st.text(st.characters()))
def test_plain_text_can_be_stored_and_printed(text: str) -> None:
    plain = printable(text)
    plain.encode()
    assert all(character.isprintable() or character in "\t\n" or ord(character) > 0x9F for character in plain)
    assert printable(plain) == plain
    assert "\n" not in one_line(text)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What two loggers write after `log_plain_text`."""
    before = logging.getLogRecordFactory()
    log_plain_text()
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    # Alone: a formatter of another handler would write the traceback's text first, in its own way.
    for logger in (logging.getLogger("freepool"), logging.getLogger("JupyterHub")):
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", False)
    yield written
    logging.setLogRecordFactory(before)


def test_a_log_record_is_one_line(lines: io.StringIO) -> None:
    detail = "\x1b]0;x\x07exit code 1:\r\nfreepool.steward slot two ends: a\0b"
    logging.getLogger("freepool.steward").warning("slot %s ends: %s", "one", detail)
    assert lines.getvalue() == ("freepool.steward slot one ends: exit code 1: freepool.steward slot two ends: a b\n")


def test_a_traceback_keeps_its_lines_and_no_control_character(lines: io.StringIO) -> None:
    try:
        raise SlotFailed("The slot died.", details="a\0b\x1b[31m\nfreepool.steward all is well")
    except SlotFailed:
        logging.getLogger("freepool.pool").exception("a start failed")
    first, second, *_, last = lines.getvalue().splitlines()
    assert (first, second) == ("freepool.pool a start failed", "Traceback (most recent call last):")
    assert last == "spawner.errors.SlotFailed: The slot died. (a b freepool.steward all is well)"


def test_records_of_other_libraries_keep_their_lines(lines: io.StringIO) -> None:
    logging.getLogger("JupyterHub").warning("start of %s failed:\n%s", "ann\x1b[2J", "why")
    assert lines.getvalue() == "JupyterHub start of ann failed:\nwhy\n"
