"""A notebook's page learns from the platform how long it has, and why it has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from spawner.catalog import load_catalog
from spawner.desk.i18n import load_translations
from spawner.desk.user.end import end_key, text_of_end
from spawner.ledger import EndReason, InstanceState
from tests.stack import NO_TLS, Stack, eventually
from tests.unit import make

ANN, BEN = "ann-of-an-end", "ben-of-an-end"


@pytest.fixture(scope="module")
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """Two users' notebooks run."""
    for name in (ANN, BEN):
        shared_stack.add_user(name)
        shared_stack.run(name)
    yield shared_stack
    for name in (ANN, BEN):
        shared_stack.stop(name)


def ask(stack: Stack, url: str, **options: Any) -> httpx.Response:
    """As a page of another origin asks: without a cookie or a token."""
    return stack.http.get(url, headers={"Origin": "http://ann.localhost"}, **options)


def test_a_page_is_told_of_its_session_and_then_why_it_has_ended(stack: Stack) -> None:
    token = stack.user_token(ANN)
    with (
        httpx.Client(verify=NO_TLS, timeout=30) as browser,
        browser.stream(
            "GET",
            f"{stack.url}/user/{ANN}/freepool/session/events",
            headers={"Authorization": f"token {token}"},
            follow_redirects=True,
        ) as events,
    ):
        lines = events.iter_lines()
        session = json.loads(next(line for line in lines if '"id"' in line).removeprefix("data:"))
        assert session["user"] == ANN
        assert session["relay"] == {"away": False, "now": pytest.approx(time.time(), abs=60)}
        url = session["end_url"]
        running = ask(stack, url)
        assert running.headers["Access-Control-Allow-Origin"] == "*"
        assert running.json() == {
            "state": "running",
            "reason": "",
            "text": "",
            "ended_at": None,
            "next_state": None,
            "desk_url": session["desk_url"],
            "restart_url": f"{session['desk_url']}?flavor=cpu-basic&image=light",
        }
        stack.stop(ANN)
        with pytest.raises(httpx.RemoteProtocolError):  # the proxy cuts it, instead of leaving it open
            list(lines)
    ended = eventually(lambda: (found := ask(stack, url).json())["state"] == "ended" and found, what="the end")
    assert (ended["reason"], ended["next_state"]) == ("stopped", None)
    assert ended["text"] == "Your notebook was stopped. Its files were deleted."
    assert ask(stack, f"{url}&language=zh-CN").json()["text"] == "你的 Notebook 已停止。其中的文件已被删除。"
    stack.run(ANN)
    assert ask(stack, url).json()["next_state"] == "running"


def test_the_address_of_an_end_is_good_for_one_instance(stack: Stack) -> None:
    instances = {one.user_name: one for one in stack.unended() if one.user_name in (ANN, BEN)}
    secret = stack.settings.secret("desk")
    base = f"{stack.url}/services/desk/api/end"
    ann, ben = (end_key(secret, instances[name].id) for name in (ANN, BEN))
    assert ask(stack, f"{base}/{instances[ANN].id}?key={ann}").status_code == 200
    for path in (
        f"{instances[BEN].id}?key={ann}",
        f"{instances[BEN].id}?key={ann}&key={ben}x",
        f"{instances[ANN].id}?key=",
        f"{instances[ANN].id}",
        f"{instances[ANN].id}?key=%F0%9F%92%A5",
        f"{instances[ANN].id}?key={ann.upper()}",
        f"{'0' * 16}?key={end_key(secret, '0' * 16)}",
    ):
        assert ask(stack, f"{base}/{path}").status_code == 404, path


def test_out_of_memory_is_said_with_the_limit(stack: Stack) -> None:
    catalog = load_catalog(stack.settings.catalog)
    ended = make.instance("e", InstanceState.ENDED, reason=EndReason.OUT_OF_MEMORY, flavor="cpu-basic")
    texts = load_translations()
    for language, limit in (("en", " Its memory limit was 2 GB."), ("zh-CN", "它的内存上限是 2 GB。")):
        said = text_of_end(ended, EndReason.OUT_OF_MEMORY, catalog, texts[language], now=make.NOW)
        assert said.endswith(limit)
    unknown = make.instance("e", InstanceState.ENDED, reason=EndReason.OUT_OF_MEMORY, flavor="gone")
    assert "limit" not in text_of_end(unknown, EndReason.OUT_OF_MEMORY, catalog, texts["en"], now=make.NOW)
