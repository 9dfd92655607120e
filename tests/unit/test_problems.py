"""Errors as the desk's users read them."""

from __future__ import annotations

import re

import pytest

from spawner.catalog import load_catalog
from spawner.desk.i18n import load_translations
from spawner.desk.problems import OTHER_TITLE, STATUS_TEXTS, describe_error, title_of
from spawner.errors import BackendUnavailable, BadOption, NotAllowed, NotOffered, PoolFull, RateLimited, SlotFailed
from tests.stack import PROJECT

CATALOG = load_catalog(PROJECT / "hub_config" / "catalog.yaml")
FULL = "All {flavor} notebooks are in use, and the queue is full."


@pytest.mark.parametrize(
    ("language", "flavor", "message"),
    [
        ("en", "cpu-basic", "All CPU notebooks are in use, and the queue is full."),
        ("zh-CN", "cpu-large", "CPU 大内存型 的 Notebook 均在使用中，排队人数也已满。"),
        ("en", "of-yesterday", "All of-yesterday notebooks are in use, and the queue is full."),
        ("en", "light", "All light notebooks are in use, and the queue is full."),
    ],
)
def test_a_user_reads_the_title_of_a_machine_type(language: str, flavor: str, message: str) -> None:
    problem = describe_error(PoolFull(FULL, flavor=flavor), 503, load_translations()[language], CATALOG)
    assert (problem.message, problem.status) == (message, 503)


def test_a_user_reads_the_title_of_an_image() -> None:
    error = SlotFailed("The image {image} cannot be downloaded right now.", image="light")
    problem = describe_error(error, 503, load_translations()["en"], CATALOG)
    assert problem.message == "The image Light cannot be downloaded right now."


def test_who_sends_an_unknown_id_reads_ids() -> None:
    error = BadOption("The limit for {flavor} is {limit}.", flavor="cpu-basic", limit=20)
    problem = describe_error(error, 400, load_translations()["en"], CATALOG)
    assert problem.message == "The limit for cpu-basic is 20."


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (NotAllowed("This page is for administrators."), 403, "You do not have access to this"),
        (None, 403, "You do not have access to this"),
        (RateLimited("Too many.", seconds=3), 429, "Too many requests"),
        (BackendUnavailable("Away."), 503, "The platform is not responding"),
        (NotOffered("This platform does not keep files."), 503, "This is turned off here"),
        (None, 502, "The platform is not responding"),
        (None, 500, OTHER_TITLE),
        (BadOption("No."), 400, OTHER_TITLE),
    ],
)
def test_the_page_of_an_error_is_titled_by_what_it_is(error: object, status: int, title: str) -> None:
    assert title_of(describe_error(error, status, load_translations()["en"], CATALOG)) == title


@pytest.mark.parametrize("status", STATUS_TEXTS)
def test_an_error_without_a_text_of_its_own_has_one_in_chinese(status: int) -> None:
    problem = describe_error(None, status, load_translations()["zh-CN"], CATALOG)
    assert problem.status == status
    assert not re.search("[A-Za-z]", problem.message + problem.next)
