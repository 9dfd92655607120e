"""What a page says of the end of a session: files are deleted, or kept where their user has chosen it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from spawner.desk.i18n import load_translations
from spawner.desk.user.session_state import SessionRows, describe_part
from spawner.ledger.time.rows import NoticeKind, SessionNotice
from spawner.pool.time.extensions import Extensible
from tests.unit import make
from tests.unit.make import NOW

TEXTS = load_translations()
OF_AN_END = (NoticeKind.DEADLINE, NoticeKind.GRACE, NoticeKind.MAINTENANCE, NoticeKind.IDLE)


def said(kind: NoticeKind, language: str, *, keeps_files: bool) -> str:
    notice = SessionNotice("n", "one", "p", kind, "m", NOW + timedelta(minutes=10), NOW, {})
    rows = SessionRows(
        make.instance("one"), None, [notice], Extensible(0, 0, 1), use=None, allowance=None, keeps_files=keeps_files
    )
    part = describe_part(rows, make.catalog(), TEXTS[language], NOW)
    assert part.keeps_files is keeps_files
    return part.notices[0].text


@pytest.mark.parametrize("kind", OF_AN_END)
def test_a_notice_of_an_end_says_what_becomes_of_the_files(kind: NoticeKind) -> None:
    assert "deleted" in said(kind, "en", keeps_files=False)
    kept = said(kind, "en", keeps_files=True)
    assert "changed files are kept, up to 64\u00a0MB" in kept
    assert "保留有改动的文件（最多 64\u00a0MB）" in said(kind, "zh-CN", keeps_files=True)


def test_the_offer_of_a_cpu_says_that_the_new_notebook_is_empty_in_any_case() -> None:
    said_to = {said(NoticeKind.CPU_OFFER, "en", keeps_files=keeps) for keeps in (True, False)}
    (text,) = said_to
    assert "starts empty" in text
