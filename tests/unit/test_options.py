"""Spawn options give a choice from the catalog, a called ticket, or a refusal that says what to send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spawner.errors import BadOption
from spawner.pool.options import KNOWN, CalledTicket, Choice, choose, read_options, ticket_options
from spawner.refusals import encode_refusal
from tests.unit import make
from tests.unit.make import quick

CATALOG = make.catalog(make.flavor("small"), make.flavor("large"))
LONGEST_MESSAGE = 400
"""Maximum length of a refusal, which is sent in an HTTP header."""

rubbish = st.text(st.sampled_from("aZ0 -_./\\'\"{}%\x00\x1b\n\r\u0430\u202e\ud800\udfff\ufeff\uffff😀猫"), max_size=60)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | rubbish,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(rubbish, inner, max_size=4),
    max_leaves=8,
)
keys = st.sampled_from(KNOWN) | rubbish
ids = st.sampled_from(["small", "large", "cpu", "torch", "ocr", ""])


def refused(options: dict[Any, Any]) -> BadOption:
    with pytest.raises(BadOption) as caught:
        choose(CATALOG, options)
    return caught.value


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("options", [{}, {"flavor": None}, {"flavor": "", "image": None, "example": ""}])
def test_without_options_the_defaults_are_chosen(options: dict[str, Any]) -> None:
    choice = choose(CATALOG, options)
    assert (choice.flavor.id, choice.image.id, choice.example) == ("small", "cpu", None)


def test_an_example_brings_its_image() -> None:
    choice = choose(CATALOG, {"example": "ocr"})
    assert (choice.image.id, choice.flavor.id) == ("torch", "small")
    assert choice.to_options() == {"flavor": "small", "image": "torch", "example": "ocr"}


def test_options_with_a_ticket_ignore_all_other_options() -> None:
    ticket = make.ticket("t", flavor="large", image="torch", example="ocr")
    options = ticket_options(ticket)
    assert options == {"flavor": "large", "image": "torch", "example": "ocr", "ticket": "t"}
    assert read_options(CATALOG, options) == read_options(CATALOG, {"ticket": "t"}) == CalledTicket("t")
    assert Choice.of_ticket(CATALOG, ticket).to_options() == {"flavor": "large", "image": "torch", "example": "ocr"}


def test_options_without_a_ticket_are_a_choice() -> None:
    assert read_options(CATALOG, {"flavor": "large", "ticket": None}) == choose(CATALOG, {"flavor": "large"})
    with pytest.raises(BadOption):
        read_options(CATALOG, {"flavor": "no-such"})


def test_an_example_with_another_image_is_refused() -> None:
    assert refused({"example": "ocr", "image": "cpu"}).message == "The example ocr needs the image torch, not cpu."


def test_an_unknown_option_names_the_known_ones() -> None:
    error = refused({"flavour": "small"})
    assert error.message == "Unknown option: 'flavour'."
    assert error.next_step == "Available options: flavor, image, example."


@pytest.mark.parametrize("key", KNOWN)
@pytest.mark.parametrize(
    "value",
    [1, True, 1.5, ["small"], {"id": "small"}, "x" * 32, "x" * 1_000_000, "sm\u0430ll", "\ud800", "😀", "small\ud800"],
)
def test_a_value_that_is_no_id_is_refused_with_its_option(key: str, value: object) -> None:
    error = refused({key: value})
    assert error.message.endswith(f" is not a valid {key}.")
    assert "Use one of these ids: " in error.next_step


@pytest.mark.parametrize("value", ["moon", "\x00", "small\n", " small", "SMALL", "../small", "{wanted}", "%s"])
def test_an_unknown_id_is_refused_with_the_known_ones(value: str) -> None:
    assert refused({"flavor": value}).next_step == "Available: small, large."


def test_deeply_nested_values_are_refused() -> None:
    assert refused({"flavor": nested(100_000)}).message.endswith("is not a valid flavor.")


@quick
@given(st.dictionaries(keys, anything | ids, max_size=5))
@example({"flavor": "\ud800" * 31})
@example({"\udfff": 1})
def test_any_json_is_a_choice_or_a_short_refusal(options: dict[Any, Any]) -> None:
    try:
        choice = choose(CATALOG, options)
    except BadOption as refusal:
        error = refusal
    else:
        assert isinstance(choice, Choice)
        assert set(options) <= set(KNOWN)
        assert choose(CATALOG, choice.to_options()) == choice
        return
    assert len(str(error)) <= LONGEST_MESSAGE
    str(error).encode("utf-8")
    assert encode_refusal(error).isascii()
    assert "\n" not in encode_refusal(error)
