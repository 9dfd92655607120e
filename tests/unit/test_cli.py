"""Login links: on one machine from the state folder, on a cluster from mounted settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spawner.cli import main
from spawner.hub.login_link import login_link
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
    main(["link", "ann"])
    assert capsys.readouterr().out.strip() == login_link(
        "https://lab.example.org/", "secret of https://lab.example.org/", "ann"
    )


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
