"""The hub's page of an error: a full pool leads to the place in line, and anything else can be reported."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader

from spawner.errors import PoolFull, Queued, Refusal
from spawner.hub.login.pages import Heading, LoginRefused
from spawner.hub.pages.config import TEMPLATES
from spawner.hub.pages.language import TRANSLATIONS
from spawner.hub.pages.reports import Report
from spawner.hub.refusal import SpawnRefused
from spawner.i18n import read_translations
from spawner.reports import TEMPLATES as REPORT_TEMPLATES

DESK = "/services/desk/"


def page(refusal: Refusal) -> str:
    exception = SpawnRefused(refusal)
    return render(
        status_code=refusal.status,
        exception=exception,
        message=exception.jupyterhub_message,
        message_html=exception.jupyterhub_html_message,
    )


def render(**given: Any) -> str:
    values: dict[str, Any] = {
        "t": lambda text, **_: text,
        "desk": DESK,
        "languages": [],
        "report_of": lambda what: Report(f"What: {what}", "mailto:ops@example.org"),
        **given,
    }
    environment = Environment(loader=FileSystemLoader([TEMPLATES, REPORT_TEMPLATES]), autoescape=True)
    return environment.get_template("error.html").render(values)


def test_a_place_in_the_queue_leads_to_the_desk() -> None:
    shown = page(Queued("You are number {place} in the queue.", facts={"retry_after": 5}, place=3))
    assert f'http-equiv="refresh" content="0; url={DESK}"' in shown
    assert "You are number 3 in the queue." in shown
    assert "<h1>You are in the queue</h1>" in shown
    assert '<details class="report">' not in shown


def test_any_other_refusal_is_said_and_can_be_reported() -> None:
    shown = page(PoolFull("All of it is <in use>.", next_step="Wait."))
    assert "refresh" not in shown
    assert "<h1>Your notebook was not started</h1>" in shown
    assert "What: 503 All of it is &lt;in use&gt;. Wait." in shown
    assert 'href="mailto:ops@example.org"' in shown
    assert "<in use>" not in shown


def test_a_login_that_is_refused_has_a_heading_and_a_title_of_its_own() -> None:
    for refused, heading in (
        (LoginRefused(403, "no", "No.", heading=Heading.LINK), "This sign-in link does not work"),
        (LoginRefused(503, "away", "Away."), "You were not signed in"),
    ):
        shown = render(status_code=refused.status_code, exception=refused, message_html="No.")
        assert f"<h1>{heading}</h1>" in shown
        assert f"<title>{heading} - Freepool</title>" in shown


def test_a_heading_is_in_the_pages_language() -> None:
    chinese = read_translations(TRANSLATIONS)["zh-CN"]
    refused = LoginRefused(503, "away", "Away.", heading=Heading.PROVIDER_AWAY)
    shown = render(status_code=503, exception=refused, message_html="Away.", t=chinese.say)
    assert "<title>暂时无法登录 - Freepool</title>" in shown
    assert "<h1>暂时无法登录</h1>" in shown


def test_jupyterhubs_advice_to_restart_a_server_is_not_shown_where_the_platform_is_away() -> None:
    """Its page of the proxy's errors has a sentence of its own, and no exception."""
    shown = render(status_code=503, status_message="Service Unavailable", message_html="Try <a href='/hub'>the hub</a>")
    assert "the hub</a>" not in shown
    assert "The platform is not responding right now." in shown
    refused = page(Refusal("No room.", next_step="Wait."))
    assert "No room." in refused
