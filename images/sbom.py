"""A software bill of materials of an image: its Debian, Python and npm packages, as CycloneDX JSON.

What is in the image is asked of the image itself, by running its own dpkg and Python.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

RUN = Path(__file__).resolve().parent / "run"
PYTHON = "/opt/freepool/bin/python"
SITES = [f"/opt/freepool/{folder}lib/python3.11/site-packages" for folder in ("", "tools/")]
"""The notebook's environment, and the tool chain's."""
NPM = "/opt/freepool/proxy/node_modules/.package-lock.json"
DEBIAN = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"
LIST = f"""
import importlib.metadata, json
found = importlib.metadata.distributions(path={SITES})
print(json.dumps(sorted({{(each.name, each.version, each.metadata["License-Expression"] or "") for each in found}})))
"""

Ask = Callable[..., str]
"""What a command prints in the image; nothing where it fails."""


def ask_image(image: str) -> Ask:
    """Run commands in an image that was built here."""

    def ask(*command: str) -> str:
        done = subprocess.run([RUN, image, *command], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    return ask


def packages(ask: Ask) -> Iterator[tuple[PackageURL, str]]:
    """Everything that a package manager has put into the image, each with its licence, empty where it is not told."""
    for line in ask("dpkg-query", "-W", "-f", DEBIAN).splitlines():
        status, name, version, architecture = line.split()
        if status == "installed":
            yield PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": "bookworm"}), ""
    for name, version, licence in json.loads(ask(PYTHON, "-c", LIST) or "[]"):
        yield PackageURL("pypi", None, name, version), licence
    for path, entry in json.loads(ask("cat", NPM) or "{}").get("packages", {}).items():
        scope, _, name = path.rpartition("node_modules/")[2].rpartition("/")
        yield PackageURL("npm", scope or None, name, entry["version"]), entry.get("license", "")


def bill_of_materials(ask: Ask, *, name: str, version: str) -> str:
    """The bill as JSON. Raises `ValueError` where the image could not be asked."""
    licences = LicenseFactory()
    described = Component(type=ComponentType.CONTAINER, name=name, version=version)
    parts = [
        Component(
            type=ComponentType.LIBRARY,
            name=package.name,
            version=package.version,
            purl=package,
            bom_ref=str(package),
            licenses=[licences.make_from_string(licence)] if licence else [],
        )
        for package, licence in packages(ask)
    ]
    if not parts:
        raise ValueError(f"the image {name} does not tell what is in it")
    bom = Bom(components=parts)
    bom.metadata.component = described
    bom.register_dependency(described, parts)
    return str(JsonV1Dot6(bom).output_as_string(indent=2))
