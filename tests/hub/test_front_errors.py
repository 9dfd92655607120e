"""What the proxy answers where hub, desk or notebook do not: with the id that is in its log, and never with a query."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.hub.front import Front, running_front

HTML = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": "en"}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """Its notebook and its hub are away, and its desk has no page for it."""
    with running_front() as running:
        for upstream in (running.notebook, running.hub):
            upstream.shutdown()
            upstream.server_close()
        yield running


def test_a_browser_gets_a_page_of_ours_and_the_log_has_its_number(front: Front) -> None:
    answer = front.get("user/ann/lab?token=secret", **HTML)
    assert answer.status_code == 503
    request = answer.headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{16}", request)
    assert 'class="brand"' in answer.text
    assert f"Request: {request}" in answer.text
    assert "Page: /user/ann/lab\n" in answer.text
    assert f"[request={request}]" in front.log
    assert "secret" not in answer.text + front.log
    assert front.desk.began[-1] == "/services/desk/unavailable/503?url=%2Fuser%2Fann%2Flab"


def test_the_page_is_in_the_readers_language(front: Front) -> None:
    assert '<html lang="en">' in front.get("hub/home", **HTML).text
    chinese = front.get("hub/home", **HTML | {"Accept-Language": "zh-TW,en"}).text
    assert '<html lang="zh-CN">' in chinese
    assert "<title>平台无响应 - Freepool</title>" in chinese
    assert "页面：/hub/home\n" in chinese
    chosen = HTML | {"Accept-Language": "zh", "Cookie": "x=1; freepool-language=en"}
    assert '<html lang="en">' in front.get("hub/home", **chosen).text


def test_an_address_is_text_on_the_page(front: Front) -> None:
    text = front.get("hub/<script>alert(1)</script>REQUEST", **HTML).text
    assert "<script" not in text


def test_a_program_gets_json(front: Front) -> None:
    answer = front.get("hub/api/user", Accept="application/json")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"
    assert answer.json()["status"] == 503


def test_a_client_chooses_no_number(front: Front) -> None:
    asked = front.get("services/desk/x", **{"X-Request-ID": "0123456789abcdef"})
    assert asked.headers["X-Request-ID"] != "0123456789abcdef"


def test_search_engines_may_read_the_landing_page_only(front: Front) -> None:
    answer = front.get("robots.txt")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "Allow: /services/desk/$" in answer.text
    assert answer.text.endswith("Disallow: /\n")
