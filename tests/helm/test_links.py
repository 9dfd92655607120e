"""The chart's values for open links."""

from __future__ import annotations

from pathlib import Path

import pytest

from spawner.settings import Settings
from tests.helm.chart import of_kind, render, settings_of

PEM = "-----BEGIN CERTIFICATE-----\nAA\nBB\n-----END CERTIFICATE-----\n"


def test_a_git_server_of_ones_own_and_its_certificate_reach_the_desk(tmp_path: Path) -> None:
    manifests = render({"links": {"alsoAllow": ["git.example.org:8443"], "certificates": PEM}})
    links = Settings.model_validate(settings_of(manifests)).links
    assert links.also_allow == ("git.example.org:8443",)
    assert str(links.certificates) == "/etc/freepool/links.pem"
    (content,) = {one["data"].get("links.pem", "") for one in of_kind(manifests, "ConfigMap")} - {""}
    mounted = tmp_path / "links.pem"
    mounted.write_text(content)
    assert links.model_copy(update={"certificates": mounted}).certificates_for("git.example.org:8443") == PEM


def test_without_them_links_lead_to_public_servers_only() -> None:
    manifests = render({})
    assert "links" not in settings_of(manifests)
    assert not any("links.pem" in one["data"] for one in of_kind(manifests, "ConfigMap"))


def test_what_is_no_server_and_a_private_key_are_refused() -> None:
    with pytest.raises(Exception, match="alsoAllow"):
        render({"links": {"alsoAllow": ["https://git.example.org"]}})
    with pytest.raises(Exception, match="private key"):
        render({"links": {"alsoAllow": [], "certificates": "-----BEGIN EC PRIVATE KEY-----\nAA\n"}})
