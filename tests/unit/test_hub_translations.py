"""Every text of the hub's pages exists in both languages, with the same placeholders, and as the desk has it."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
from jupyterhub._data import DATA_FILES_PATH

from spawner.desk.i18n import load_translations
from spawner.hub.login.pages import Heading
from spawner.hub.pages.language import TRANSLATIONS, language_links
from spawner.i18n import read_translations
from spawner.reports import TEMPLATES as REPORT_TEMPLATES
from tests.stack import PROJECT

HUB = PROJECT / "spawner" / "hub"
TEMPLATES = [*(HUB / "pages" / "templates").glob("*.html"), *(HUB / "templates-shared").glob("*.html")]
INCLUDED = [REPORT_TEMPLATES / "report.html"]
TEXTS = sorted(
    {
        found[2]
        for path in (*TEMPLATES, *INCLUDED)
        for found in re.finditer(r"""\b[t_]\((["'])(.*?)\1[,)]""", path.read_text())
    }
    | {str(heading) for heading in Heading}
)
CHINESE = read_translations(TRANSLATIONS)["zh-CN"].translations
DESKS = load_translations()["zh-CN"].translations


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_text_of_the_hubs_pages_is_translated_as_the_desk_does(text: str) -> None:
    assert text in CHINESE
    assert names(CHINESE[text]) == names(text)
    assert CHINESE[text] == DESKS.get(text, CHINESE[text])
    assert "您" not in CHINESE[text]


def test_the_hubs_catalogue_has_no_unused_text() -> None:
    assert len(TEXTS) > 40
    assert set(CHINESE) == set(TEXTS)


def test_every_template_of_jupyterhub_has_one_of_ours() -> None:
    theirs = Path(DATA_FILES_PATH) / "templates"
    assert {path.name for path in theirs.glob("*.html")} <= {path.name for path in TEMPLATES}


def test_a_link_to_another_language_keeps_the_rest_of_the_address() -> None:
    assert language_links("/hub/login?next=%2Fhub%2Fx&language=en")[1] == (
        "zh-CN",
        "简体中文",
        "/hub/login?next=%2Fhub%2Fx&language=zh-CN",
    )
    assert language_links("/hub/login")[0] == ("en", "English", "/hub/login?language=en")
