"""The kept answer concerns today's locks, what nobody answered for is never harmless, and what stays has a reason."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import date

import pytest
from packaging.version import Version
from pip_audit._format import JsonFormat
from pip_audit._service import Dependency, ResolvedDependency, SkippedDependency, VulnerabilityResult

from images import advisories, audit
from images.advisories import Answer, Package, Vulnerability, read_lock, read_npm_audit, read_npm_lock, read_pip_audit
from images.audit import Accepted, Entry, answer_of, digest, problems, read_accepted, read_kept, write_kept
from tests.images.recipes import ROOT

TODAY = date(2026, 12, 1)
IDNA = Package("idna", "3.20")
HOLE = Vulnerability(IDNA, "PYSEC-2026-7", ("CVE-2026-1234",), ("3.21",))
LOCK = "requirements.lock"
TEXT = "# A lock.\nidna==3.20\ntorch==2.13.0+cpu ; sys_platform == 'linux'\n"
BOTH = read_lock(TEXT)
NPM = json.dumps({
    "packages": {
        "": {"dependencies": {"minimist": "0.0.8"}},
        "node_modules/minimist": {"version": "0.0.8"},
        "node_modules/a/node_modules/@of/b": {"version": "2.1.0"},
    }
})  # fmt: skip


# Files of the repository


def test_the_kept_answer_concerns_todays_locks() -> None:
    kept = {entry.lock: entry for entry in read_kept(audit.KEPT.read_text())}
    assert kept.keys() == set(audit.locks())
    moved = [lock for lock, entry in kept.items() if entry.digest != digest((ROOT / lock).read_text())]
    assert moved == [], "these locks have moved since they were audited: run `make audit`"


def test_every_lock_that_git_knows_is_audited() -> None:
    patterns = ("*.lock", "*package-lock.json")
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == audit.locks()


def test_reasons_are_well_formed_and_concern_what_is_known() -> None:
    known = [one for entry in read_kept(audit.KEPT.read_text()) for one in entry.known]
    for reason in read_accepted(audit.ACCEPTED.read_text()):
        assert any(one.package.name == reason.package and reason.id in (one.id, *one.also) for one in known), reason


# What the services print


def test_pip_audits_answer_is_read_and_what_it_skips_is_unanswered() -> None:
    hole = VulnerabilityResult.create(
        ids=["PYSEC-2026-7", "CVE-2026-1234"], description="", fix_versions=[Version("3.21")], published=None
    )
    told: dict[Dependency, list[VulnerabilityResult]] = {
        ResolvedDependency("idna", Version("3.20")): [hole],
        ResolvedDependency("PyYAML", Version("6.0.3")): [],
        SkippedDependency("torch", "not found on PyPI"): [],
    }
    answer = read_pip_audit(JsonFormat(False, True).format(told, []))
    assert answer == Answer(frozenset([IDNA, Package("pyyaml", "6.0.3")]), (HOLE,), "not found on PyPI")


def test_npms_answer_is_read() -> None:
    page = "https://example.org/advisories/GHSA-xvch-5gv4-984h"
    cause = {"name": "minimist", "url": page, "range": "<0.2.4 || >=1.0.0 <1.2.6"}
    told = {
        "minimist": {"via": [cause], "nodes": ["node_modules/minimist"]},
        "a": {"via": ["minimist"], "nodes": ["node_modules/a"]},
    }
    answer = read_npm_audit(json.dumps({"vulnerabilities": told}), NPM)
    minimist = Package("minimist", "0.0.8")
    assert answer.known == (Vulnerability(minimist, "GHSA-xvch-5gv4-984h", fixed=("0.2.4", "1.2.6")),)
    assert answer.answered == read_npm_lock(NPM) == {minimist, Package("@of/b", "2.1.0")}


def test_an_error_of_npms_is_no_answer() -> None:
    assert read_npm_audit('{"message": "405 Method Not Allowed", "error": {"summary": ""}}', NPM) == Answer(
        why_not="405 Method Not Allowed"
    )


def test_a_service_that_knows_no_old_hole_is_not_asked_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def knows_nothing(subject: object) -> Answer:
        asked.append(subject)
        return Answer(frozenset([advisories.KNOWN_TO_PYPI]))

    monkeypatch.setattr(advisories, "_pip_audit", knows_nothing)
    monkeypatch.setattr(advisories, "_npm_audit", knows_nothing)
    for answer in (advisories.ask_pypi([IDNA]), advisories.ask_npm([NPM])):
        assert not answer.answered
        assert "does not know that" in answer.why_not
    assert len(asked) == 2


def test_pip_audit_is_given_one_version_of_a_package_at_a_time() -> None:
    other = replace(IDNA, version="3.19")
    assert advisories.one_version_each([IDNA, other, Package("torch", "2.13.0")]) == [
        [other, Package("torch", "2.13.0")],
        [IDNA],
    ]


# What is kept


def test_what_is_kept_is_read_as_it_was_written() -> None:
    entries = [answer_of(LOCK, TEXT, Answer(BOTH, (HOLE,)), before=None, today=TODAY)]
    assert entries == [Entry(LOCK, digest(TEXT), 2, 2, TODAY, (HOLE,))]
    assert read_kept(write_kept(entries)) == entries


def test_without_an_answer_the_one_about_the_same_lock_stays() -> None:
    before = Entry(LOCK, digest(TEXT), 2, 2, date(2026, 11, 1), (HOLE,))
    assert answer_of(LOCK, TEXT, Answer(), before=before, today=TODAY) == before


def test_without_an_answer_a_lock_that_moved_is_unanswered_and_what_was_known_is_not_forgotten() -> None:
    before = Entry(LOCK, digest("idna==3.20\n"), 1, 1, date(2026, 11, 1), (HOLE,))
    kept = Entry(LOCK, digest(TEXT), 2, 0, TODAY, (HOLE,))
    assert answer_of(LOCK, TEXT, Answer(), before=before, today=TODAY) == kept
    moved = answer_of(LOCK, "idna==3.21\n", Answer(), before=before, today=TODAY)
    assert moved.known == ()


# What is to be done


def said(known: tuple[Vulnerability, ...], *reasons: Accepted, answered: int = 2) -> str:
    return "\n".join(problems([Entry(LOCK, digest(TEXT), 2, answered, TODAY, known)], reasons, today=TODAY))


def test_a_vulnerability_without_a_reason_names_the_next_step() -> None:
    assert "`images/lock --upgrade idna`" in said((HOLE,))
    assert "No version has a fix" in said((replace(HOLE, fixed=()),))


def test_a_reason_holds_until_its_day() -> None:
    reason = Accepted("CVE-2026-1234", "idna", "Nothing here encodes names.", date(2026, 12, 2))
    assert said((HOLE,), reason) == ""
    assert "was to be reviewed by 2026-12-01" in said((HOLE,), replace(reason, again=TODAY))
    assert "concerns no lock any more" in said((), reason)
    assert said((HOLE,), replace(reason, package="other")).count("\n") == 1


def test_packages_without_an_answer_are_to_be_checked_again() -> None:
    assert "Not checked, because no service answered: packages of requirements.lock (2 of 2)" in said((), answered=0)


@pytest.mark.parametrize(
    "text",
    [
        "- {id: A, package: b, again: 2027-01-31}",
        "- {id: A, package: b, reason: later, again: 2027-01-31}",
        "- {id: A, package: b, reason: It is never called., again: soon}",
    ],
)
def test_a_reason_needs_words_and_a_day(text: str) -> None:
    with pytest.raises(ValueError, match=r"accepted\.yaml"):
        read_accepted(text)
