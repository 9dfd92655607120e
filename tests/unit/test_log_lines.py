"""Log lines: text or JSON, with what a task works for, and no probes."""

from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.app import JupyterHub
from traitlets.config import Config

from spawner import logs
from spawner.desk import app, common
from spawner.errors import SetupError
from spawner.hub.log_lines import ContextFormatter
from spawner.plain_text import PlainLogRecord


def record(message: str, **more: Any) -> logging.LogRecord:
    return PlainLogRecord("freepool.steward", logging.WARNING, "file.py", 1, message, (), more.get("exc_info"))


def test_a_line_of_json_has_what_the_task_works_for() -> None:
    with logs.about(person="p1", instance="i1"), logs.about(instance=""):
        line = json.loads(logs.JsonFormatter().format(record("文字 \x1b[1m bold")))
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "WARNING", "logger": "freepool.steward", "message": "文字 bold", "person": "p1"}
    assert "person" not in logs.JsonFormatter().format(record("later"))
    try:
        raise ValueError("why")
    except ValueError as error:
        traced = logs.JsonFormatter().format(record("failed", exc_info=(type(error), error, error.__traceback__)))
    assert traced.count("\n") == 0
    assert "ValueError: why" in json.loads(traced)["trace"]


async def test_what_one_task_works_for_is_not_in_the_lines_of_another() -> None:
    async def work(name: str) -> str:
        logs.note(instance=name)
        await asyncio.sleep(0)
        return logs.TextFormatter().format(record("works"))

    assert [line.rpartition(" ")[2] for line in await asyncio.gather(work("a"), work("b"))] == [
        "[instance=a]",
        "[instance=b]",
    ]


def test_a_mistake_in_the_variables_says_what_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.FORMAT_VARIABLE, "xml")
    with pytest.raises(SetupError, match="text, json"):
        logs.formatter()
    monkeypatch.setenv(logs.FORMAT_VARIABLE, "JSON")
    assert isinstance(logs.formatter(), logs.JsonFormatter)
    monkeypatch.setenv(logs.LEVEL_VARIABLE, "loud")
    with pytest.raises(SetupError, match="DEBUG, INFO"):
        logs.level()


def test_jupyterhubs_own_lines_have_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    c: Any = Config()
    c.JupyterHub.logging_config = {"formatters": {"console": {"class": "spawner.logs.JsonFormatter"}}}
    JupyterHub.clear_instance()
    hub = JupyterHub(config=c)
    hub.log.warning("hello")
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["message"] == "hello"


@pytest.mark.parametrize(("kind", "logged"), [(common.HealthHandler, False), (common.NotFoundHandler, True)])
def test_probes_are_not_logged(kind: Any, logged: bool, caplog: pytest.LogCaptureFixture) -> None:
    request = SimpleNamespace(method="GET", path="/x", request_time=lambda: 0.001, remote_ip="10.0.0.1")
    handler = kind.__new__(kind)
    handler.request, handler._status_code = request, 200
    with caplog.at_level(logging.INFO, "freepool.desk"):
        app.log_request(handler)
    assert bool(caplog.records) is logged


def test_jupyterhubs_own_form_has_what_the_task_works_for() -> None:
    with logs.about(person="p1", request="1f"):
        line = ContextFormatter(fmt="%(levelname)s %(message)s").format(record("50 % \x1b[1m done"))
    assert line == "WARNING 50 % done [request=1f person=p1]"
