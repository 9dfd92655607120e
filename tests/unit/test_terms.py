"""The texts of an installation: the default ones are true of its settings, and each change has a version of its own."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from spawner.catalog import Catalog, load_catalog
from spawner.desk.terms.check import accept_path, local_target
from spawner.login_settings import LoginKind
from spawner.settings import Settings
from spawner.terms.documents import Block, blocks, documents_of
from spawner.terms_settings import TermsSettings
from tests.stack import PROJECT


def settings(**changes: Any) -> Settings:
    base = {"catalog": "/c.yaml", "state": "/s", "examples": "/e"}
    return Settings.model_validate(base | changes)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(PROJECT / "hub_config" / "catalog.yaml")


OIDC = {
    "kind": LoginKind.OIDC,
    "issuer": "https://id.example.org",
    "client_id": "freepool",
    "allow_all": True,
}


def test_only_who_comes_by_a_provider_is_asked_unless_the_operator_says_otherwise(catalog: Catalog) -> None:
    assert not documents_of(settings(), catalog).must_accept
    assert documents_of(settings(login=OIDC), catalog).must_accept
    assert documents_of(settings(terms={"accept": True}), catalog).must_accept
    assert not documents_of(settings(login=OIDC, terms={"accept": False}), catalog).must_accept


def test_the_default_texts_say_what_the_settings_do(catalog: Catalog) -> None:
    days = catalog.limits.keep_history_days
    privacy = documents_of(settings(), catalog).privacy
    assert f"{days} days after their end" in privacy.en
    assert f"结束 {days} 天后删除" in privacy.zh
    assert "logged for 30 days" in privacy.en
    assert "logged for" not in documents_of(settings(network={"log_days": 0}), catalog).privacy.en
    assert "not isolated from each other" in documents_of(settings(isolation="none"), catalog).privacy.en
    assert "not isolated" not in privacy.en
    assert "hash of your account" in documents_of(settings(login=OIDC), catalog).privacy.en
    assert "hash of your account" not in privacy.en
    for text in (privacy, documents_of(settings(), catalog).terms):
        kinds = [[block.kind for block in blocks(one)] for one in (text.en, text.zh)]
        assert kinds[0] == kinds[1], "both languages have the same parts"


def test_each_change_of_a_text_is_a_new_version_unless_the_operator_names_it(catalog: Catalog) -> None:
    own = {"terms": {"en": "Be kind.", "zh": "请友善。"}}
    found = documents_of(settings(terms=own), catalog)
    assert found.terms.in_language("zh-CN") == "请友善。"
    assert len(found.version) == 12
    assert found.version == documents_of(settings(terms=own), catalog).version
    for changed in ({"terms": {"en": "Be kind!", "zh": "请友善。"}}, {"terms": {"en": "Be kind.", "zh": "请友善！"}}):
        assert documents_of(settings(terms=changed), catalog).version != found.version
    named = documents_of(settings(terms=own | {"version": "2026-11"}), catalog)
    assert named.version == "2026-11"
    assert (
        documents_of(settings(terms={"terms": {"en": "Only English."}}), catalog).terms.in_language("zh-CN")
        == "Only English."
    )


def test_a_version_is_a_name_for_a_database() -> None:
    with pytest.raises(ValidationError, match="version"):
        TermsSettings(version="x" * 65)
    with pytest.raises(ValidationError):
        TermsSettings.model_validate({"terms": {"en": ""}})


def test_a_text_is_headings_paragraphs_and_lists_and_never_markup() -> None:
    assert blocks("## One\ntwo\nthree\n- four\n- <b>five</b>\nsix\n\n\n- seven\r\n\r\neight") == [
        Block("heading", ("One",)),
        Block("paragraph", ("two three",)),
        Block("list", ("four", "<b>five</b>")),
        Block("paragraph", ("six",)),
        Block("list", ("seven",)),
        Block("paragraph", ("eight",)),
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        "//evil.example.org", "https://evil.example.org", "/\\evil.example.org", "/a\nb", "", "javascript:x", "/é",
        "/hub/link?user=mallory&token=x", "/services/desk/../../hub/link?token=x", "/hub/spawn/%2E./link?token=x",
        "/services/desk/.%2e/%2e%2e/hub/link", "/hub/spawnx", "/hub/logout",
    ],
)  # fmt: skip
def test_the_page_leads_to_no_other_host_and_to_no_login_link(hostile: str) -> None:
    assert local_target(hostile, "/services/desk/") == "/services/desk/"


def test_a_page_of_a_start_leads_on_to_a_notebook_only() -> None:
    wanted = "/hub/spawn/ada?next=%2Fhub%2Fuser%2Fada%2Flab"
    assert local_target(wanted, "/services/desk/") == wanted
    assert local_target("/hub/spawn?next=%2Fhub%2Flink%3Ftoken%3Dx", "/services/desk/") == "/hub/spawn"
    assert local_target("/jupyter/hub/spawn", "/jupyter/services/desk/") == "/jupyter/hub/spawn"


def test_a_target_with_a_query_survives() -> None:
    assert local_target("/services/desk/open?git=https%3A%2F%2Fx&path=a", "/") == (
        "/services/desk/open?git=https%3A%2F%2Fx&path=a"
    )
    assert accept_path("/d/", "/d/open?a=1&b=2") == "/d/terms/accept?next=%2Fd%2Fopen%3Fa%3D1%26b%3D2"
