"""The id of a request, and the text of "Report a problem"."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import pytest
from pydantic import ValidationError

from spawner import logs, request_ids
from spawner.reports import report_address, report_link, report_text
from spawner.settings import Settings
from tests.stack import PROJECT

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
TEXT = "What: 503 & no\nPage: /hub/spawn"


def line() -> str:
    return logs.TextFormatter().format(logging.LogRecord("freepool.hub", logging.INFO, "", 0, "refused", (), None))


def test_the_proxys_id_is_taken_and_any_other_replaced() -> None:
    given = "0123456789abcdef"
    assert request_ids.begin({request_ids.HEADER: given}) == given
    assert line().endswith(f"refused [request={given}]")
    for forged in ("", "x" * 16, given + "0", given + "\n"):
        assert request_ids.begin({request_ids.HEADER: forged}) != forged


def test_a_report_has_what_is_known_and_nothing_else() -> None:
    text = report_text(what="503\n no", path="/hub/spawn", request_id="1f", version="1", browser="", now=NOW)
    assert text.splitlines() == [
        "What: 503 no", "Page: /hub/spawn", "Time: 2026-03-01 12:30:00 UTC", "Request: 1f", "Freepool: 1",
    ]  # fmt: skip


def test_the_facts_are_named_in_the_readers_language() -> None:
    text = report_text(
        what="x", path="/a", request_id="1f", version="1", browser="b", now=NOW, language="zh-CN"
    ).splitlines()
    assert [line.partition(":")[0] for line in text] == ["问题", "页面", "时间", "请求编号", "Freepool", "浏览器"]


def test_a_link_writes_no_line_of_a_report() -> None:
    path = "/user/a\nRequest: 0\u202e\x1b"
    text = report_text(what="", path=path, request_id="1f", version="1", browser="x\x85Request: 2", now=NOW)
    assert [line.partition(":")[0] for line in text.splitlines()] == ["Page", "Time", "Request", "Freepool", "Browser"]
    assert text.splitlines()[0] == "Page: /user/a Request: 0"


@pytest.mark.parametrize(
    "address", ["mailto:ops@example.org", "https://example.org/new?body={text}", "https://example.org/help"]
)
def test_a_report_goes_where_the_administrator_says(address: str) -> None:
    assert report_link(None, TEXT) == ""
    link = report_link(address, TEXT)
    assert "\n" not in link
    assert " " not in link
    assert link.startswith(address.partition("{")[0])
    assert TEXT in unquote(link) or address.endswith("/help")
    assert link == report_address(address).replace("{text}", quote(TEXT, safe=""))


def test_a_long_text_is_cut_between_letters() -> None:
    link = report_link("mailto:ops@example.org", "平" * 500)
    assert len(link) <= 1800
    assert set(unquote(link.partition("body=")[2])) == {"平"}


@pytest.mark.parametrize("address", ["javascript:alert(1)", "ops@example.org", "mailto:", "https://a b"])
def test_any_other_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="report_to"):
        Settings(catalog=PROJECT, state=PROJECT, examples=PROJECT, report_to=address)
