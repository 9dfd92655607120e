"""Settings of several hubs: where a browser may be led, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from tornado.web import Finish

from spawner.hub.login.pages import LoginRefused
from spawner.hub.other_hubs import redirect_to_hub
from spawner.hub_settings import HubSettings
from spawner.ledger.people.people import of_another_hub
from spawner.settings import Settings

HUBS = HubSettings(name="a", others={"b": "https://b.example.org/"})


@pytest.mark.parametrize("target", ["/services/desk/open?example=ocr", "/user/ann/lab/tree/%E4%BD%A0", "/"])
def test_a_path_is_kept(target: str) -> None:
    assert HUBS.url_on("b", target) == f"https://b.example.org{target}"


@pytest.mark.parametrize(
    "target",
    [
        *("", "evil.example", "//evil.example", "https://evil.example/", "/\\evil.example", "\\/evil"),
        *("/x\r\nSet-Cookie: a", "@evil.example", ".evil.example", ":80@evil.example"),
    ],
)
def test_whatever_is_no_path_leads_to_the_first_page_of_that_hub(target: str) -> None:
    assert HUBS.url_on("b", target) == "https://b.example.org/"


def test_a_hub_that_is_not_in_the_settings_has_no_address() -> None:
    assert HUBS.url_on("c", "/") is None


@pytest.mark.parametrize(
    "values",
    [
        {"name": "a", "others": {"a": "https://a.example.org"}},
        {"others": {"b": "https://b.example.org/path"}},
        {"others": {"b": "b.example.org"}},
        {"others": {"b": "https://x@b.example.org"}},
        {"drain_to": "b"},
        {"name": "A", "others": {"main": "https://a.example.org"}},
        {"name": "b"},
    ],
)
def test_mistakes_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HubSettings.model_validate(values)


def settings(**changes: Any) -> Settings:
    return Settings.model_validate(
        {"catalog": "/c", "state": "/s", "examples": "/e", "hubs": HUBS.model_dump(), **changes}
    )


def test_hubs_on_one_machine_would_end_each_others_notebooks() -> None:
    with pytest.raises(ValidationError, match="on Kubernetes"):
        settings()
    with pytest.raises(ValidationError, match="on Kubernetes"):
        settings(slots="/slots")
    assert settings(slots="/slots", isolation="none").slots_dir == Path("/slots")
    assert settings(kubernetes={"namespace": "pool"}).hubs == HUBS


@pytest.mark.parametrize(
    "others",
    [{"b": "https://a.example.org:8443"}, {"b": "https://b.example.org", "c": "http://B.example.org:8001"}],
)
def test_hubs_on_one_host_would_get_each_others_cookies(others: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="host name of its own"):
        settings(public="https://a.example.org", kubernetes={"namespace": "pool"}, hubs={"others": others})


class Request:
    """A request of a browser, and where it is sent."""

    def __init__(self, uri: str, following: str = "") -> None:
        self.request = SimpleNamespace(uri=uri)
        self.following = following
        self.to = ""

    def get_next_url(self, _: object) -> str:
        return self.following

    def redirect(self, url: str) -> None:
        self.to = url


CALLBACK = "/hub/oauth_callback?code=secret&state=x"
AUTHORIZE = "/hub/api/oauth2/authorize?client_id="


@pytest.mark.parametrize(
    ("uri", "following", "to"),
    [
        (CALLBACK, "/services/desk/open?example=ocr", "https://b.example.org/services/desk/open?example=ocr"),
        (CALLBACK, f"{AUTHORIZE}service-desk&state=s1", "/services/desk/other-hub?hub=b&state=s1"),
        (CALLBACK, f"{AUTHORIZE}jupyterhub-user-eve&state=s1", "https://b.example.org/"),
        (CALLBACK, "https://evil.example/x", "https://b.example.org/x"),
        (CALLBACK, "", "https://b.example.org/"),
        (CALLBACK, "/services/desk/?code=secret&state=x", "https://b.example.org/services/desk/"),
        ("/hub/spawn?flavor=cpu", "", "https://b.example.org/hub/spawn?flavor=cpu"),
    ],
)
def test_a_browser_is_led_to_its_persons_hub_with_its_target(uri: str, following: str, to: str) -> None:
    request = Request(uri, following)
    with pytest.raises(Finish):
        redirect_to_hub(request, settings(kubernetes={"namespace": "pool"}), of_another_hub("b"))
    assert request.to == to
    assert "secret" not in request.to


def test_a_hub_without_an_address_is_said() -> None:
    request = Request(CALLBACK)
    with pytest.raises(LoginRefused) as refused:
        redirect_to_hub(request, settings(kubernetes={"namespace": "pool"}), of_another_hub("gone"))
    assert "gone" in refused.value.jupyterhub_html_message
    assert request.to == ""
