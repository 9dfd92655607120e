"""Every text of the desk exists in both languages, with the same placeholders."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner import errors
from spawner.channels import requests as channel_requests
from spawner.channels import undelivered
from spawner.desk import allowances, status, unavailable
from spawner.desk.admin import causes as admin_causes
from spawner.desk.admin import channels as admin_channels
from spawner.desk.admin import guard as admin_guard
from spawner.desk.admin import notebooks as notebook_pages
from spawner.desk.admin import people as people_pages
from spawner.desk.admin import run_words
from spawner.desk.admin import state as admin_state
from spawner.desk.admin import strings as admin_strings
from spawner.desk.i18n import LANGUAGES, TRANSLATIONS, Plural, choose_language, load_translations
from spawner.desk.open import describe
from spawner.desk.paid import accounts, alarms, consents, forms, oauth_proof, offers, role, role_check
from spawner.desk.paid import http as base
from spawner.desk.paid import texts as words
from spawner.desk.problems import OTHER_TITLE, STATUS_TEXTS, TITLES
from spawner.desk.terms import pages as terms_pages
from spawner.desk.user import (
    allowance_strings,
    allowance_view,
    class_view,
    ends,
    landing,
    remedies,
    save_texts,
    session_texts,
    state,
    strings,
)
from spawner.desk.user import channel as channel_pages
from spawner.hub.bans import CHINESE as HUB_CHINESE
from spawner.ledger import EndReason, InstanceState, StartStep
from spawner.ledger.paid.rows import OrderState
from spawner.ledger.people import bans, forgetting
from spawner.ledger.people.rows import BanCode
from spawner.ledger.pool.end_texts import END_TEXTS
from spawner.links import target
from spawner.paid.accounts import binding
from spawner.paid.consent import rules as consent_rules
from spawner.paid.consent import service as consent_service
from spawner.paid.orders import progress
from spawner.paid.orders import service as order_service
from spawner.paid.providers import assume_role_checks
from spawner.paid.providers import messages as provider_words
from spawner.paid.providers.dsw.provider import DswProvider
from spawner.pool import policies, user_namespaces
from spawner.pool.admin import people as people_commands
from spawner.pool.backends.base import Unavailable
from spawner.pool.progress import FAILURES, LAST_STEPS, STEP_TEXTS, TICKET_END_TEXTS, USER_REQUESTED
from spawner.pool.queue import responses
from spawner.pool.time import refusals as time_refusals
from spawner.pool.warm import targets
from spawner.rate_limits import texts as rate_texts
from tests.stack import PROJECT
from tests.unit.make import quick

SOURCE = PROJECT / "spawner"
CHINESE = load_translations()["zh-CN"]
FOR_PEOPLE = {"HubRefused", "BackendUnavailable", "LedgerUnusable"} | {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.Refusal)
}
"""Errors that the desk can show to users. Others are printed in a terminal, in English."""
PAST_THE_DESK = {
    "ledger/migrate.py",
    "ledger/version.py",
    "pool/backends/local/backend.py",
    "pool/slot_view.py",
    "cli_channels.py",
    "cli_grant.py",
    "cli_invitations.py",
    "cli_people.py",
    "cli_status.py",
    "cli_traffic.py",
    "cli_warm.py",
}
"""Files that raise those errors, but in no request of the desk: at the start of a process, in the steward, in a
command."""
ADMIN_TEXTS = ("NO_MACHINE", "NOT_IN_CATALOG", "UNREADABLE", "FOR_EVERYBODY", "FOR_GROUP", "FOR_GROUPS")
BAN_ENDS = (bans.UNTIL, bans.FOR_GOOD, bans.UNTIL_ASK, bans.FOR_GOOD_ASK)
AT_THE_START = {"The database URL needs a file.", "Use sqlite:////path/to/ledger.sqlite."}


def _sentences(node: ast.expr | None) -> Iterator[str]:
    """The string constants of an expression, including both sides of a conditional."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _sentences(node.body)
        yield from _sentences(node.orelse)
    elif isinstance(node, ast.Tuple):
        for part in node.elts:
            yield from _sentences(part)


def _texts_in_code() -> Iterator[tuple[str, str]]:
    """Place and text: messages of errors for users, and arguments of the handlers' `say`."""
    for path in sorted(SOURCE.rglob("*.py")):
        if str(path.relative_to(SOURCE)) in PAST_THE_DESK:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            names = {part.id for part in ast.walk(node.func) if isinstance(part, ast.Name)}
            says = isinstance(node.func, ast.Attribute) and node.func.attr == "say" and "desk" in path.parts
            if names & FOR_PEOPLE or says:
                texts = [*node.args, *(word.value for word in node.keywords if word.arg == "next_step")]
                for text in texts:
                    for sentence in set(_sentences(text)) - AT_THE_START:
                        yield f"{path.relative_to(PROJECT)}:{node.lineno}", sentence


def _texts_in_templates() -> Iterator[tuple[str, str]]:
    for path in sorted([*(SOURCE / "desk" / "templates").rglob("*.html"), *(SOURCE / "templates").glob("*.html")]):
        for found in re.finditer(r"""_\((["'])(.*?)\1[,)]""", path.read_text()):
            yield path.name, found[2]


def _texts_of_the_ledger() -> Iterator[tuple[str, str]]:
    from spawner.ledger import engine

    for _, sentence, following in engine._ERRORS_BY_MARK:
        yield "engine.py", sentence
        yield "engine.py", following


def paid_texts() -> Iterator[str]:
    """Texts of paid instances that are in tables and constants."""
    yield from (binding.OTHER_ACCOUNT, progress.STAGE, progress.READY, progress.NOT_STARTED)
    yield from (sentence for _, sentence in progress.DONE.values())
    yield from progress.ENDINGS.values()
    for table in (
        words.STATES,
        words.CLOUD_STATES,
        words.WHY,
        words.WHILE_IT_ENDS,
        words.NOTICES,
        words.BLOCKS,
        words.BINDING_STATES,
        words.CONSENT_STATES,
        alarms.KINDS,
    ):
        yield from table.values()
    yield from role.TRUST_WORDS.values()
    yield from role.PERMISSION_WORDS
    for pair in provider_words.MESSAGES.values():
        yield from filter(None, pair)
    for module in (assume_role_checks, accounts, base, consents, forms, oauth_proof, offers, order_service, role_check):
        yield from (value for name, value in vars(module).items() if name.isupper() and str(value).endswith("."))
    yield role_check.IN_REGION
    yield from offers.GROUPS.values()
    yield from (consent_service.SWITCHED_OFF, words.OUT_OF_REACH)
    yield DswProvider.title


def class_texts() -> Iterator[str]:
    """Sentences about the user's class."""
    yield from (*class_view.CLASSES.values(), *class_view.RISES.values())
    yield from (class_view.SESSION, class_view.ONE, class_view.SEVERAL)


def time_texts() -> Iterator[str]:
    """Texts of hours that are used up."""
    yield from (value for name, value in vars(time_refusals).items() if name.isupper() and str(value).endswith("."))


def session_words() -> Iterator[str]:
    """Texts of notices and extensions."""
    for pair in session_texts.NOTICE_TEXTS.values():
        yield from pair
    yield from session_texts.KEPT_TEXTS.values()
    yield from (value for name, value in vars(session_texts).items() if name.isupper() and isinstance(value, str))


LESS = (admin_causes.LESS_ROOM, admin_causes.LESS_MEMORY)


def people_texts() -> Iterator[str]:
    """Texts of the administrator's pages of users that are in tables and constants."""
    for table in (people_pages.CODES, people_pages.SOURCES, people_pages.TRUST):
        yield from table.values()
    yield from (*admin_causes.FAILURE_STEPS.values(), *notebook_pages.USES.values())
    yield from (notebook_pages.SENT, notebook_pages.STOPPED, *terms_pages.TITLES.values())
    yield from (admin_causes.LIMIT_REACHED, admin_causes.MEMORY_USED, admin_causes.MEMORY_SMALL, *LESS)
    for table in (run_words.ENDS, run_words.STATES, run_words.PAID_STATES):
        yield from table.values()
    for module in (people_pages, people_commands, forgetting):
        yield from (value for name, value in vars(module).items() if name.isupper() and str(value).endswith("."))


def channel_texts() -> Iterator[str]:
    """Texts of the pages of messages that are in tables and constants."""
    for table in (channel_pages.EVENTS, channel_pages.TITLES, admin_channels.TITLES, undelivered.WORDS):
        yield from table.values()
    yield channel_requests.WAIT


def _all() -> dict[str, str]:
    texts = [
        *_texts_in_code(),
        *_texts_in_templates(),
        *_texts_of_the_ledger(),
        *(("problems.py", sentence) for pair in STATUS_TEXTS.values() for sentence in pair),
        *(("problems.py", sentence) for sentence in (*TITLES.values(), OTHER_TITLE)),
        *(("status.py", sentence) for pair in status.PARTS.values() for sentence in pair),
        *(("unavailable.py", sentence) for sentence in (unavailable.AWAY, unavailable.NOTEBOOK_AWAY)),
        *(("progress.py", sentence) for _, sentence in STEP_TEXTS.values()),
        *(("end_texts.py", part) for text in END_TEXTS.values() for part in (text.what, text.files)),
        *(("ends.py", sentence) for sentence in ends.TEXTS),
        *(("progress.py", sentence) for sentence in TICKET_END_TEXTS.values()),
        *(("class_view.py", sentence) for sentence in class_texts()),
        *(("landing.py", sentence) for sentence in (landing.FREE, landing.IN_USE, landing.JOIN)),
        *(
            ("texts.py", text)
            for text in (
                *rate_texts.ADDRESS.values(),
                *rate_texts.PERSON.values(),
                rate_texts.NEXT,
                rate_texts.NEXT_ONE,
            )
        ),
        *(("session_texts.py", sentence) for sentence in session_words()),
        *(("bans.py", sentence) for sentence in (*bans.REASONS.values(), *BAN_ENDS)),
        *(("people.py", value) for value in people_texts()),
        *(("allowances.py", value) for value in allowances.TEXTS),
        *(("allowance_strings.py", value) for value in allowance_strings.ALLOWANCE_STRINGS.values()),
        *(("allowance_view.py", value) for value in allowance_view.TEXTS),
        *(("refusals.py", value) for value in time_texts()),
        *(("line.py", value) for name, value in vars(responses).items() if name.isupper() and str(value).endswith(".")),
        ("target.py", target.CHECK_LINK),
        ("target.py", target.NOT_ALLOWED),
        *(("describe.py", value) for value in (*describe.FAILURES.values(), *describe.NEXT.values())),
        *(
            ("describe.py", value)
            for value in (
                describe.WARNING,
                describe.ANY_COMMIT,
                *describe.LACKS.values(),
                describe.FAILED,
            )
        ),
        *(
            ("policies.py", value)
            for name, value in vars(policies).items()
            if name.isupper() and str(value).endswith(".")
        ),
        *(("responses.py", sentence) for sentence in responses.UNAVAILABLE_TEXTS.values()),
        *(("remedies.py", sentence) for sentence in remedies.REMEDIES.values()),
        *(("state.py", value) for name, value in vars(state).items() if name.isupper() and isinstance(value, str)),
        *(
            ("consent.py", value)
            for name, value in vars(consent_rules).items()
            if name.isupper() and str(value).endswith(".")
        ),
        *(("save_texts.py", sentence) for sentence in save_texts.TEXTS),
        *(("paid", sentence) for sentence in paid_texts()),
        *(("strings.py", sentence) for sentence in strings.USER_STRINGS.values()),
        *(("wanted.py", sentence) for sentence in targets.TARGET_REASONS.values()),
        *(("user_namespaces.py", sentence) for sentence in user_namespaces.NAMESPACE_REASONS.values()),
        *(("admin_state.py", sentence) for sentence in admin_state.REASONS.values()),
        *(("admin_state.py", admin_state.__dict__[name]) for name in ADMIN_TEXTS),
        *(("admin_guard.py", sentence) for sentence in admin_guard.TEXTS),
        *(("channel.py", sentence) for sentence in channel_texts()),
        *(("admin_strings.py", sentence) for sentence in admin_strings.ADMIN_STRINGS.values()),
    ]
    return {sentence: where for where, sentence in texts if re.search(r"[A-Za-z]", re.sub(r"\{.*?\}", "", sentence))}


ALL = _all()


def placeholders(text: str) -> Counter[str]:
    return Counter(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_the_search_for_texts_finds_them() -> None:
    """A search that finds nothing would pass every other test."""
    for sentence in (
        "Unknown {kind}: {wanted}.",
        "Available: {known}.",
        "You already have {count} running notebooks, the maximum per person.",
        "Your notebook is already starting, running, or stopping.",
        "There is no running notebook to restart.",
        "The server is not responding. Running notebooks are not affected.",
        "Sign out",
        "Page not found",
        "The disk that holds the database is full.",
    ):
        assert sentence in ALL
    assert len(ALL) > 100


@pytest.mark.parametrize("sentence", ALL, ids=range(len(ALL)))
def test_every_text_has_a_translation_with_the_same_placeholders(sentence: str) -> None:
    assert sentence in CHINESE.translations, f"{ALL[sentence]}: no Chinese for {sentence!r}"
    translation = CHINESE.translations[sentence]
    assert set(placeholders(translation)) == set(placeholders(sentence))
    assert re.search(r"[\u4e00-\u9fff]", translation) or not re.search(r"[a-z]{3}", sentence)


@pytest.mark.parametrize("text", admin_strings.ADMIN_PLURALS.values())
def test_a_text_with_a_count_has_one_form_in_chinese_and_two_in_english(text: Plural) -> None:
    assert load_translations()["en"].forms(text) == {"one": text.one, "other": text.other}
    assert placeholders(text.one).keys() <= placeholders(text.other).keys()
    assert text.one in CHINESE.plurals, f"no Chinese for {text.one!r}"
    chinese = CHINESE.forms(text)
    assert chinese.keys() == {"other"}
    assert placeholders(chinese["other"]).keys() == placeholders(text.other).keys()


def test_the_catalogue_has_no_unused_text() -> None:
    assert CHINESE.translations.keys() - ALL.keys() == set()
    assert CHINESE.plurals.keys() == {text.one for text in admin_strings.ADMIN_PLURALS.values()}


def test_no_text_is_translated_twice() -> None:
    text = (TRANSLATIONS / "zh_CN" / "LC_MESSAGES" / "messages.po").read_text()
    ids = [
        "".join(re.findall(r'"(.*)"', block)) for block in re.findall(r'^msgid ((?:".*"\n)+)', text, flags=re.MULTILINE)
    ]
    assert len(ids) > 100
    assert [name for name, count in Counter(ids).items() if count > 1] == []


def test_every_step_and_every_end_reason_has_a_text() -> None:
    assert set(STEP_TEXTS) == set(StartStep)
    assert set(END_TEXTS) == set(EndReason)
    assert set(EndReason) <= set(run_words.ENDS)
    assert set(InstanceState) == set(run_words.STATES)
    assert set(OrderState) == set(run_words.PAID_STATES)
    assert set(bans.REASONS) == set(BanCode)
    assert set(responses.UNAVAILABLE_TEXTS) == set(remedies.REMEDIES) == set(Unavailable)
    assert set(FAILURES).isdisjoint(USER_REQUESTED)
    assert all(STEP_TEXTS[step][0] == 100 for step in LAST_STEPS)


def test_the_hubs_pages_have_the_desks_chinese_for_bans() -> None:
    assert {text: CHINESE.translations[text] for text in (*bans.REASONS.values(), *BAN_ENDS)} == HUB_CHINESE
    assert "您" not in "".join(HUB_CHINESE.values())


def test_a_text_is_translated_and_its_placeholders_are_filled() -> None:
    texts = load_translations()
    assert set(texts) == set(LANGUAGES)
    assert texts["en"].say("{n} available", n=3) == "3 available"
    assert texts["zh-CN"].say("{n} available", n=3) == "空闲 3 个"


def test_a_text_without_a_translation_stays_in_english() -> None:
    assert CHINESE.say("No such sentence: {x}", x="{y}") == "No such sentence: {y}"


@pytest.mark.parametrize("error", [errors.BadOption("a {x}", next_step="b {x}", x="{braces} %s"), errors.PoolFull("c")])
def test_a_parameter_is_never_read_as_a_placeholder(error: errors.Refusal) -> None:
    assert CHINESE.say(error.template, **error.params) == error.message


@pytest.mark.parametrize(
    ("chosen", "accept", "language"),
    [
        (None, None, "en"),
        (None, "", "en"),
        (None, "*", "en"),
        (None, "fr-FR,de;q=0.5", "en"),
        (None, "zh", "zh-CN"),
        (None, "zh-CN", "zh-CN"),
        (None, "zh-cn", "zh-CN"),
        (None, "zh-Hans", "zh-CN"),
        (None, "zh-Hans-CN", "zh-CN"),
        (None, "zh-TW,zh;q=0.9", "zh-CN"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        (None, "en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        (None, "en;q=0.5, zh-CN;q=0.9", "zh-CN"),
        (None, "fr, zh-CN;q=0.2, en;q=0.1", "zh-CN"),
        (None, "zh-CN;q=rubbish, en", "en"),
        (None, ";q=,,;;=,\ud800", "en"),
        (None, "x" * 100_000, "en"),
        ("zh-CN", "en", "zh-CN"),
        ("en", "zh-CN", "en"),
        ("fr", "zh-CN", "zh-CN"),
        ("", None, "en"),
    ],
)
def test_the_language_is_the_cookies_then_the_browsers_then_english(
    chosen: str | None, accept: str | None, language: str
) -> None:
    assert choose_language(chosen, accept) == language


@quick
@given(st.text(st.sampled_from("zhenCNTW-_,;=q0159.* \x00\ud800"), max_size=60))
def test_every_accept_language_header_gives_a_language(accept: str) -> None:
    assert choose_language(None, accept) in LANGUAGES


def test_the_catalogue_is_where_the_package_looks_for_it() -> None:
    assert Path(TRANSLATIONS / "zh_CN" / "LC_MESSAGES" / "messages.po").is_file()
