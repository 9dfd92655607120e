"""What administrators use: `freepool channel test` and `unblock`, and the check of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from spawner.channels.keys import ChannelKeys
from spawner.cli import main
from spawner.errors import SetupError
from spawner.ledger import open_ledger
from spawner.ledger.channels import channels
from spawner.ledger.channels.rows import ChannelKind
from spawner.local.secrets import make_secrets
from spawner.settings import Settings
from tests.channels.servers import MailBox, channels_by
from tests.stack import local_settings
from tests.unit.make import NOW

ANN = "ann@example.org"


@pytest.fixture
def state(tmp_path: Path, migrated: Path) -> Path:
    make_secrets(tmp_path)
    return tmp_path


def write(state: Path, migrated: Path, **more: Any) -> None:
    settings = Settings(catalog=state, state=state, examples=state, ledger_url=f"sqlite:///{migrated}", **more)
    (state / "settings.json").write_text(settings.model_dump_json())


def test_a_test_message_is_sent(state: Path, migrated: Path, box: MailBox, capsys: pytest.CaptureFixture[str]) -> None:
    write(state, migrated, channels=channels_by(box))
    main(["channel", "test", ANN, "--state", str(state)])
    assert capsys.readouterr().out == f"The mail server has taken a message to {ANN}.\n"
    (mail,) = box.mails
    assert "The mail server works" in mail.get_content()


def test_a_refusal_is_said_in_the_servers_words(
    state: Path, migrated: Path, box: MailBox, capsys: pytest.CaptureFixture[str]
) -> None:
    write(state, migrated, channels=channels_by(box))
    box.answer = "550 5.7.1 relaying denied"
    with pytest.raises(SystemExit):
        main(["channel", "test", ANN, "--state", str(state)])
    said = capsys.readouterr().err
    assert "The mail server refused the message." in said
    assert "(550 5.7.1 relaying denied)" in said
    write(state, migrated)
    with pytest.raises(SystemExit):
        main(["channel", "test", ANN, "--state", str(state)])
    assert "No mail server is set. Set channels.mail" in capsys.readouterr().err


def test_an_address_is_unblocked(state: Path, migrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(state, migrated)
    digest = ChannelKeys((state / "secrets" / "channels").read_text()).digest(ChannelKind.EMAIL, ANN)
    ledger = open_ledger(f"sqlite:///{migrated}")
    ledger.write(channels.block, digest, now=NOW)
    ledger.close()
    for said in (f"{ANN} can be entered again.\n", f"{ANN} was not blocked.\n"):
        main(["channel", "unblock", ANN, "--state", str(state)])
        assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": {"mail": {"host": "smtp.example.org", "sender": "x"}}}, "channels.mail.sender"),
        (
            {"channels": {"mail": {"host": "smtp.example.org", "sender": ANN, "user": "u", "password_file": "pw"}}},
            "pw cannot be read: No such file",
        ),
        ({"channels": {"webhooks": True, "ca_file": "ca.pem"}}, "ca.pem cannot be read: No such file"),
        ({"notify_url_file": "hook"}, "hook cannot be read: No such file"),
    ],
)
def test_the_check_names_mistakes_in_the_settings(
    tmp_path: Path, changes: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = local_settings(tmp_path / "local.yaml", **changes)
    with pytest.raises(SystemExit):
        main(["check", "--settings", str(path)])
    assert said in capsys.readouterr().err


def test_paths_are_relative_to_the_settings_file(
    tmp_path: Path, ca_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pw").write_text("secret")
    (tmp_path / "hook").write_text("https://hooks.example.org/token\n")
    (tmp_path / "ca.pem").write_bytes(ca_file.read_bytes())
    mail = {"host": "smtp.example.org", "sender": ANN, "user": "u", "password_file": "pw"}
    changes = {"channels": {"mail": mail, "ca_file": "ca.pem"}, "notify_url_file": "hook"}
    path = local_settings(tmp_path / "local.yaml", **changes)
    main(["check", "--settings", str(path)])
    assert f"{path}: no mistakes." in capsys.readouterr().out
    assert "secret" not in yaml.safe_load(path.read_text())["channels"]


def test_the_webhooks_address_comes_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    settings = Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path, notify_url_file=file)
    file.write_text("https://hooks.example.org/token\n")
    assert settings.webhook() == "https://hooks.example.org/token"
    file.write_text("hooks.example.org")
    with pytest.raises(SetupError, match="no address that begins with https"):
        settings.webhook()
    assert (
        Settings(catalog=tmp_path, state=tmp_path, examples=tmp_path, notify_url="http://x/").webhook() == "http://x/"
    )
