"""The section `links`: what it lets through, and what it gives to notebooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from spawner.link_settings import LinkSettings

ONE = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nBB\n-----END PRIVATE KEY-----\n"


def test_notebooks_get_the_certificates_of_listed_servers_and_no_key(tmp_path: Path) -> None:
    file = tmp_path / "both.pem"
    file.write_text(KEY + ONE)
    links = LinkSettings(also_allow=("git.example.org:8443",), certificates=file)
    assert links.certificates_for("git.example.org:8443") == ONE
    assert links.certificates_for("github.com") == ""
    assert LinkSettings().certificates_for("github.com") == ""


def test_only_ports_of_loopback_are_forwarded_and_none_by_default() -> None:
    assert LinkSettings().forwarded_ports == set()
    assert LinkSettings(also_allow=("127.0.0.1:8443", "git.example.org:9443")).forwarded_ports == {8443}


@pytest.mark.parametrize("place", ["https://git.example.org", "git.example.org/a", "", "a b"])
def test_a_server_is_a_host_and_no_address(place: str) -> None:
    with pytest.raises(ValidationError):
        LinkSettings(also_allow=(place,))
