"""`make audit`: checks every lock for known vulnerabilities, and fails where one has no reason to stay.

Usage: python -m images.audit. The answer is kept in images/audit.yaml. images/accepted.yaml has the vulnerabilities
that stay for now, each with a reason and the date of its next review. No other check of the locks uses the network.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from images.advisories import Answer, Package, Vulnerability, ask_npm, ask_pypi, read_lock, read_npm_lock

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "images/audit.yaml"
ACCEPTED = ROOT / "images/accepted.yaml"
NPM_LOCK = "package-lock.json"
HEAD = """\
# Known vulnerabilities of the packages in each lock, as PyPI's service (pip-audit) and npm's registry report them.
# Made by `make audit`. On the day `asked`, the services answered for `answered` of the `packages`; `digest` is the
# lock's on that day. The other packages are not checked. images/accepted.yaml says why an entry of `known` stays.
"""


@dataclass(frozen=True)
class Entry:
    """The result for one lock. `answered`: for how many of its packages a service answered, on the day `asked`."""

    lock: str
    digest: str
    packages: int
    answered: int
    asked: date
    known: tuple[Vulnerability, ...] = ()


@dataclass(frozen=True)
class Accepted:
    """A vulnerability that stays. `again`: the date on which its reason is reviewed."""

    id: str
    package: str
    reason: str
    again: date


def locks(root: Path = ROOT) -> list[str]:
    """Every lock of the repository, as a path below its root."""
    patterns = ("requirements*.lock", "images/*/*.lock", *(f"{where}/{NPM_LOCK}" for where in ("*/*", "*/*/*")))
    found = {path.relative_to(root) for pattern in patterns for path in root.glob(pattern)}
    return sorted(str(path) for path in found if not path.parts[0].startswith(".") and "node_modules" not in path.parts)


def digest(text: str) -> str:
    """The first 16 digits of a lock's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def packages_of(lock: str, text: str) -> frozenset[Package]:
    """What a lock pins."""
    return read_npm_lock(text) if lock.endswith(NPM_LOCK) else read_lock(text)


# Files


class _Written(yaml.SafeDumper):
    """Writes a value that occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def read_kept(text: str) -> list[Entry]:
    """The entries of images/audit.yaml."""
    return [
        Entry(**{**one, "known": tuple(_vulnerability(each) for each in one["known"])})
        for one in yaml.safe_load(text) or []
    ]


def _vulnerability(one: Mapping[str, Any]) -> Vulnerability:
    package = Package(one["package"], str(one["version"]))
    return Vulnerability(package, one["id"], tuple(one["also"]), tuple(map(str, one["fixed"])))


def write_kept(entries: Iterable[Entry]) -> str:
    """The text of images/audit.yaml."""
    listed = [{**vars(entry), "known": [_as_written(one) for one in entry.known]} for entry in entries]
    return HEAD + yaml.dump(listed, Dumper=_Written, sort_keys=False, width=120)


def _as_written(one: Vulnerability) -> dict[str, Any]:
    package = {"package": one.package.name, "version": one.package.version}
    return {**package, "id": one.id, "also": [*one.also], "fixed": [*one.fixed]}


def read_accepted(text: str) -> list[Accepted]:
    """The entries of images/accepted.yaml. Raises `ValueError` where one lacks something."""
    found = []
    for one in yaml.safe_load(text) or []:
        if not isinstance(one, dict) or set(one) != {"id", "package", "reason", "again"}:
            raise ValueError(f"images/accepted.yaml: {one}: write id, package, reason and again")
        if not isinstance(one["again"], date) or len(str(one["reason"]).split()) < 3:
            raise ValueError(
                f"images/accepted.yaml: {one['id']}: give a reason in words, and in `again` a day (2027-01-31)"
            )
        found.append(Accepted(**one))
    return found


# Decisions


def answer_of(lock: str, text: str, answer: Answer, *, before: Entry | None, today: date) -> Entry:
    """The new entry of a lock. For packages without an answer, the vulnerabilities of the entry before stay."""
    packages = packages_of(lock, text)
    answered = packages & answer.answered
    known = {one for one in answer.known if one.package in answered}
    known |= {one for one in (before.known if before else ()) if one.package in packages - answered}
    entry = Entry(lock, digest(text), len(packages), len(answered), today, tuple(sorted(known)))
    if before is not None and before.digest == entry.digest and before.answered > entry.answered:
        return replace(before, known=entry.known)
    return entry


def problems(entries: Sequence[Entry], accepted: Sequence[Accepted], *, today: date) -> Iterator[str]:
    """What has to be done, one sentence each; nothing where every vulnerability has a valid reason."""
    silent = [one for one in entries if one.answered < one.packages]
    if silent:
        counts = ", ".join(f"{one.lock} ({one.packages - one.answered} of {one.packages})" for one in silent)
        yield (
            f"Not checked, because no service answered: packages of {counts}. "
            "Run `make audit` where the services can be reached"
        )
    held = set()
    for one, found_in in _by_vulnerability(entries):
        package = one.package
        reason = next(
            (each for each in accepted if each.package == package.name and each.id in (one.id, *one.also)), None
        )
        if reason is None:
            yield f"{package}: {one.id} ({', '.join(found_in)}). {_next_step(one, found_in)}"
        elif reason.again <= today:
            due = f"the reason for {reason.id} was to be reviewed by {reason.again}"
            yield f"{package}: {due}. {_next_step(one, found_in)}"
        held.add(reason)
    for reason in accepted:
        if reason not in held:
            yield f"{reason.package}: {reason.id} concerns no lock any more. Remove it from images/accepted.yaml"


def _by_vulnerability(entries: Iterable[Entry]) -> list[tuple[Vulnerability, list[str]]]:
    """Each vulnerability with the locks that have it."""
    found: dict[Vulnerability, list[str]] = {}
    for entry in entries:
        for one in entry.known:
            found.setdefault(one, []).append(entry.lock)
    return sorted(found.items())


def _next_step(one: Vulnerability, found_in: Sequence[str]) -> str:
    stays = "write into images/accepted.yaml why it can stay, and until when"
    if not one.fixed:
        return f"No version has a fix: do without the package, or {stays}"
    npm = f"`npm update {one.package.name} --package-lock-only` in its folder"
    command = npm if found_in[0].endswith(NPM_LOCK) else f"`images/lock --upgrade {one.package.name}`"
    return f"Fixed in {', '.join(one.fixed)}: {command}; where that does not fit, {stays}"


# The command


def ask(texts: Mapping[str, str]) -> tuple[Answer, list[str]]:
    """Both services, about all locks, each package once; and a sentence for each that did not answer for all."""
    pip = [text for lock, text in texts.items() if not lock.endswith(NPM_LOCK)]
    npm = [text for lock, text in texts.items() if lock.endswith(NPM_LOCK)]
    answers = {
        "PyPI's service": ask_pypi(frozenset[Package]().union(*map(read_lock, pip))),
        "npm's registry": ask_npm(npm),
    }
    for name, answer in answers.items():
        sys.stdout.write(f"audit: {name} answered for {len(answer.answered)} packages\n")
    silent = [f"{name} did not answer for all: {one.why_not}" for name, one in answers.items() if one.why_not]
    return sum(answers.values(), Answer()), silent


def main() -> int:
    today = datetime.now(UTC).date()
    accepted = read_accepted(ACCEPTED.read_text())
    texts = {lock: (ROOT / lock).read_text() for lock in locks()}
    kept = {entry.lock: entry for entry in read_kept(KEPT.read_text())} if KEPT.exists() else {}
    answer, silent = ask(texts)
    entries = [answer_of(lock, text, answer, before=kept.get(lock), today=today) for lock, text in texts.items()]
    KEPT.write_text(write_kept(entries))
    found = [*silent, *problems(entries, accepted, today=today)]
    for line in found:
        sys.stderr.write(f"audit: {line}\n")
    known = len({one for entry in entries for one in entry.known})
    whole = sum(entry.answered == entry.packages for entry in entries)
    sys.stdout.write(f"audit: {whole} of {len(entries)} locks answered for: images/audit.yaml\n")
    sys.stdout.write(f"audit: {known} known vulnerabilities; {len(accepted)} reasons: images/accepted.yaml\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
