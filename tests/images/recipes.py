"""The images' recipes as data: Dockerfiles, arguments of variants, locks."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
VARIANTS = ("light", "cpu", "gpu")
DOCKERFILES = tuple(IMAGES / name / "Dockerfile" for name in ("hub", "instance", "postgres"))
DEBIAN_PYTHON = {"python_version": "3.11", "python_full_version": "3.11.2"}


def arguments(variant: str) -> dict[str, str]:
    """What makes a variant."""
    lines = (IMAGES / "instance" / f"{variant}.args").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def lock(path: Path) -> dict[str, str]:
    """Versions by package that a lock brings into an image. Raises for what is not pinned."""
    found = {}
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(DEBIAN_PYTHON):
            found[requirement.name] = re.fullmatch("={2,3}([^*,]+)", str(requirement.specifier)).group(1)  # type: ignore[union-attr]
    return found


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile with what follows them, on one line each, without comments."""
    text = re.sub(r"(?m)^\s*#.*\n", "", dockerfile.read_text()).replace("\\\n", " ")
    return [(words[0], words[1]) for line in text.splitlines() if len(words := line.split(None, 1)) == 2]
