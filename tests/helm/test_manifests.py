"""All rendered manifests are valid for the supported Kubernetes versions."""

from __future__ import annotations

import json
from functools import cache

import pytest
from kubernetes_validate import utils as kubernetes_validate

from tests.helm.chart import VALUE_SETS, Manifest, render

OLDEST = (1, 30)
VERSIONS = [
    version
    for version in dict.fromkeys(kubernetes_validate.all_versions())  # it names each twice
    if tuple(int(part) for part in version.split(".")[:2]) >= OLDEST
]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """The distinct manifests of all sets of values."""
    found = [manifest for values in VALUE_SETS.values() for manifest in render(values)]
    return list({json.dumps(manifest, sort_keys=True): manifest for manifest in found}.values())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_manifest_is_valid(version: str, manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    # The package reads the same large files again for each manifest.
    monkeypatch.setattr(kubernetes_validate, "schema_contents", cache(kubernetes_validate.schema_contents))
    mistakes = []
    for manifest in manifests:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            mistakes.append(f"{manifest['kind']} {manifest['metadata']['name']}: {error.message}")
    assert mistakes == []


def test_the_newest_version_is_checked() -> None:
    assert kubernetes_validate.latest_version() in VERSIONS
    assert len(VERSIONS) >= 8
