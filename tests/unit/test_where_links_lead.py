"""Addresses that a link to a page of ours names: none leads to a login link of somebody else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spawner.desk.common import safe_address
from spawner.desk.i18n import load_translations
from spawner.desk.open.describe import ANY_COMMIT, describe
from spawner.hub.login.links import LinkHandler
from spawner.hub.login.pages import LoginRefused
from spawner.links.target import Kind, Target

DESK: Any = SimpleNamespace(desk=SimpleNamespace(base="/services/desk/"))


@pytest.mark.parametrize(
    "here", ["/services/desk/../../hub/link?token=x", "/services/desk/%2e%2E/.%2e/hub/link", "//evil.example.org/", "x"]
)
def test_a_choice_of_language_leads_back_to_the_desk_only(here: str) -> None:
    assert safe_address(DESK, here) == "/services/desk/"


def test_it_leads_back_to_the_page() -> None:
    here = "/services/desk/open?git=https%3A%2F%2Fexample.org%2Fa&path=a/../b"
    assert safe_address(DESK, here) == here


@pytest.mark.parametrize("site", ["same-origin", "same-site", "cross-site"])
def test_no_page_of_this_host_changes_who_is_logged_in_either(site: str) -> None:
    """Sites that lead on, such as that of the terms, make a foreign link look like one of the same origin."""
    refuse: Any = LinkHandler._refuse_other_pages

    def asked(name: str, headers: dict[str, str]) -> Any:
        return SimpleNamespace(
            request=SimpleNamespace(headers=headers),
            current_user=SimpleNamespace(name="ada"),
            authenticator=SimpleNamespace(normalize_username=str.lower),
            get_argument=lambda *_: name,
            hub=SimpleNamespace(base_url="/hub/"),
        )

    with pytest.raises(LoginRefused):
        refuse(asked("mallory", {"Sec-Fetch-Site": site}))
    refuse(asked("ada", {"Sec-Fetch-Site": site}))
    refuse(asked("mallory", {"Sec-Fetch-Site": "none"}))


def test_a_commit_may_be_from_a_fork_and_the_page_says_so() -> None:
    texts = load_translations()["en"]
    for ref, is_said in (("a" * 40, True), ("0" * 64, True), ("main", False), ("", False)):
        target = Target(Kind.GIT, git="https://example.org/ada/work", ref=ref)
        assert (ANY_COMMIT in describe(target, None, texts).warning) == is_said
