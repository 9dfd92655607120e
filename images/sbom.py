"""A software bill of materials of an image: its Debian, Python and npm packages, as CycloneDX JSON.

What is in the image is asked of the image itself, by running its own dpkg and Python.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

RUN = Path(__file__).resolve().parent / "run"
PYTHON = "/opt/freepool/bin/python"
NPM = "/opt/freepool/proxy/node_modules/.package-lock.json"
DEBIAN = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"
SITE = "/opt/freepool/lib/python3.11/site-packages"
LIST = f"""
import importlib.metadata, json
found = importlib.metadata.distributions(path=["{SITE}"])
print(json.dumps(sorted((each.name, each.version) for each in found)))
"""


def ask(image: str, *command: str) -> str:
    """What a command prints in an image; nothing where it fails."""
    return subprocess.run(
        [RUN, image, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    ).stdout


def packages(image: str) -> Iterator[PackageURL]:
    """Everything that a package manager has put into the image."""
    for line in ask(image, "dpkg-query", "-W", "-f", DEBIAN).splitlines():
        status, name, version, architecture = line.split()
        if status == "installed":
            yield PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": "bookworm"})
    for name, version in json.loads(ask(image, PYTHON, "-c", LIST) or "[]"):
        yield PackageURL("pypi", None, name.lower().replace("_", "-"), version)
    for path, entry in json.loads(ask(image, "cat", NPM) or "{}").get("packages", {}).items():
        scope, _, name = path.rpartition("node_modules/")[2].rpartition("/")
        yield PackageURL("npm", scope or None, name, entry["version"])


def bill_of_materials(image: str, name: str) -> str:
    """The bill as JSON. Raises `ValueError` where the image could not be asked."""
    bom = Bom()
    described = Component(type=ComponentType.CONTAINER, name=name, version=image.rpartition(":")[2])
    bom.metadata.component = described
    for package in packages(image):
        url = str(package)
        bom.components.add(
            Component(type=ComponentType.LIBRARY, name=package.name, version=package.version, purl=package, bom_ref=url)
        )
    if not bom.components:
        raise ValueError(f"{image} does not tell what is in it")
    bom.register_dependency(described, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)
