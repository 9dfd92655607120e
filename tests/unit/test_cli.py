"""Login links: on one machine from the state folder, on a cluster from mounted settings."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from spawner.cli import main
from spawner.hub.login.link import Link, read_token
from spawner.settings import SETTINGS_VARIABLE


def installation(folder: Path, public: str, *, settings: str) -> Path:
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets" / "link").write_text(f"secret of {public}")
    about = {"catalog": "catalog.yaml", "state": str(folder), "examples": "examples", "public": public}
    (folder / settings).write_text(json.dumps(about))
    return folder / settings


def test_an_invalid_port_gives_one_sentence_and_no_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "abc")
    with pytest.raises(SystemExit):
        main(["up"])
    error_output = capsys.readouterr().err
    assert error_output.startswith("freepool: Port abc cannot be used: it must be a number from 1 to 65535.")
    assert error_output.count("\n") == 1


def test_a_link_is_made_from_mounted_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mounted = installation(tmp_path / "mounted", "https://lab.example.org/", settings="settings.yaml")
    monkeypatch.setenv(SETTINGS_VARIABLE, str(mounted))
    main(["link", "ann", "--days", "2"])
    printed = capsys.readouterr()
    query = parse_qs(urlsplit(printed.out.strip()).query)
    assert printed.out.startswith("https://lab.example.org/hub/link?")
    now = time.time()
    link = read_token("secret of https://lab.example.org/", "ann", query["token"][0], now=now)
    assert isinstance(link, Link)
    assert link.expires == pytest.approx(now + 2 * 86400, abs=60)
    end = datetime.fromtimestamp(link.expires, UTC)
    assert f"good until {end:%Y-%m-%d %H:}" in printed.err


def test_no_link_is_made_where_links_are_not_how_people_log_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mounted = installation(tmp_path / "mounted", "https://lab.example.org/", settings="settings.yaml")
    settings = json.loads(mounted.read_text()) | {"login": {"kind": "github", "allow_all": True}}
    mounted.write_text(json.dumps(settings))
    monkeypatch.setenv(SETTINGS_VARIABLE, str(mounted))
    with pytest.raises(SystemExit):
        main(["link", "ann"])
    assert "users sign in with GitHub" in capsys.readouterr().err


def test_a_given_state_folder_takes_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mounted = installation(tmp_path / "mounted", "https://lab.example.org/", settings="settings.yaml")
    installation(tmp_path / "state", "http://127.0.0.1:8000/", settings="settings.json")
    monkeypatch.setenv(SETTINGS_VARIABLE, str(mounted))
    main(["link", "ann", "--state", str(tmp_path / "state")])
    assert capsys.readouterr().out.startswith("http://127.0.0.1:8000/hub/link?")


def test_the_state_folder_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installation(tmp_path / "state", "http://127.0.0.1:8000/", settings="settings.json")
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    monkeypatch.setenv("STATE", str(tmp_path / "state"))
    main(["link", "ann"])
    assert capsys.readouterr().out.startswith("http://127.0.0.1:8000/hub/link?")
