"""The language in which JupyterLab opens: of the cookie, else of the browser, as on Freepool's own pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner import i18n
from spawner.instance import language

TAGS = st.sampled_from(["en", "en-GB", "zh", "zh-CN", "zh-Hans-CN", "zh-TW", "de", "fr-FR", "*", "", ";"])
WEIGHTS = st.sampled_from(["", ";q=0.9", ";q=0.5", "; q=0.1", ";q=x"])
HEADERS = st.lists(st.tuples(TAGS, WEIGHTS).map("".join), max_size=4).map(",".join)


def test_the_cookie_and_the_languages_are_those_of_the_pages() -> None:
    assert language.COOKIE == i18n.LANGUAGE_COOKIE
    assert tuple(language.LOCALES) == i18n.LANGUAGES


@given(st.sampled_from([None, "en", "zh-CN", "xx", ""]), st.none() | HEADERS)
def test_a_request_has_the_language_that_a_page_would_have(chosen: str | None, accept: str | None) -> None:
    assert language.choose_language(chosen, accept) == i18n.choose_language(chosen, accept)


@pytest.mark.parametrize(
    ("uri", "rest"),
    [
        ("/user/a/lab?language=en", "/user/a/lab"),
        ("/user/a/lab/tree/x%3Fy.ipynb?reset&language=zh-CN&a=%26", "/user/a/lab/tree/x%3Fy.ipynb?reset&a=%26"),
        ("/user/a/lab?languages=3", "/user/a/lab?languages=3"),
        ("/user/a/lab?%6canguage=en&a=1", "/user/a/lab?a=1"),
    ],
)
def test_only_the_language_is_taken_out_of_an_address(uri: str, rest: str) -> None:
    assert language.without_language(uri) == rest
