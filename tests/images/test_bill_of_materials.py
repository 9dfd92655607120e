"""The bill of materials names what the image's own package managers tell."""

from __future__ import annotations

import json

import pytest

from images.sbom import NPM, PYTHON, bill_of_materials

TOLD = {
    "dpkg-query": "installed tini 0.19.0-1 amd64\nconfig-files gone 1 amd64\n",
    PYTHON: json.dumps([["PyYAML", "6.0.3", "MIT"], ["tornado", "6.6.1", ""]]),
    NPM: json.dumps({"packages": {"node_modules/a/node_modules/@of/b": {"version": "2.1.0", "license": "ISC"}}}),
}


def ask(*command: str) -> str:
    return TOLD[command[-1] if command[0] == "cat" else command[0]]


def test_every_kind_of_package_is_named_with_its_licence() -> None:
    bill = json.loads(bill_of_materials(ask, name="hub", version="1"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "hub"
    assert {part["purl"]: part.get("licenses", []) for part in bill["components"]} == {
        "pkg:deb/debian/tini@0.19.0-1?arch=amd64&distro=bookworm": [],
        "pkg:pypi/pyyaml@6.0.3": [{"license": {"id": "MIT"}}],
        "pkg:pypi/tornado@6.6.1": [],
        "pkg:npm/%40of/b@2.1.0": [{"license": {"id": "ISC"}}],
    }


def test_an_image_that_tells_nothing_has_no_bill() -> None:
    with pytest.raises(ValueError, match="hub"):
        bill_of_materials(lambda *_: "", name="hub", version="1")
