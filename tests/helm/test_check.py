"""`freepool check`, as the chart runs it before an installation or an upgrade, on what the chart renders."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from spawner.cli import main
from spawner.ledger.engine import make_engine
from spawner.ledger.migrate import migrate
from spawner.settings import SETTINGS_VARIABLE
from tests.helm.chart import RELEASE, Values, decoded, manifest_of, render, settings_of
from tests.helm.test_chart import DEFAULTS

FLAVORS = DEFAULTS["catalog"]["flavors"]


@pytest.fixture(autouse=True)
def no_crypt_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_CRYPT_KEY", raising=False)


def installation(folder: Path, values: Values, *, keys: bool = True) -> Path:
    """The files of the hook's pod in a folder of this machine."""
    manifests = render(values)
    files = manifest_of(manifests, "ConfigMap", RELEASE)["data"]
    (folder / "catalog.yaml").write_text(files["catalog.yaml"])
    ledger = f"sqlite:///{folder / 'ledger.sqlite'}"
    own = {"catalog": str(folder / "catalog.yaml"), "state": str(folder), "ledger_url": ledger}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings_of(manifests) | own))
    (folder / "secrets").mkdir()
    for name, word in decoded(manifest_of(manifests, "Secret", RELEASE)).items():
        if keys or name != "crypt-keys":
            (folder / "secrets" / name).write_text(word)
    for name, text in manifest_of(manifests, "ConfigMap", "freepool-hub")["data"].items():
        (folder / name).write_text(text)
    for name, text in manifest_of(manifests, "Secret", "freepool-hub")["data"].items():
        (folder / name).write_bytes(base64.b64decode(text))
    return folder


def check(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    monkeypatch.setenv(SETTINGS_VARIABLE, str(folder / "settings.yaml"))
    main(["check", "--hub-file", str(folder / "jupyterhub_config.py"), *more])


def test_the_charts_defaults_have_no_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = installation(tmp_path, {})
    check(folder, monkeypatch)
    assert "will be migrated" in capsys.readouterr().out
    assert migrate(make_engine(f"sqlite:///{folder / 'ledger.sqlite'}")) is None
    check(folder, monkeypatch)
    said = capsys.readouterr().out
    assert said.count("no mistakes") == 3
    assert "migrated" not in said


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"catalog": {"flavors": [FLAVORS[0] | {"reserve": "9GiB"}]}}, ["reserve must not be above memory"]),
        (
            {"catalog": {"defaults": {"flavor": "gone"}}},
            ["defaults.flavor: 'gone' does not exist. Available: cpu"],
        ),
        (
            {"catalogOverrides": {"flavors": {"cpu-basic": {"reserve": "9GiB"}, "gpu-24g": {"cpu": None}}}},
            ["reserve must not be above memory", "flavors", "cpu"],
        ),
        ({"catalog": {"examples": [DEFAULTS["catalog"]["examples"][0] | {"image": "no"}]}}, ["'no' does not exist"]),
        ({"hub": {"config": {"JupyterHub": {"admin_acces": True}}}}, ["JupyterHub.admin_acces", "mean admin_access?"]),
        ({"hub": {"config": {"JupyterHub": {"active_server_limit": "many"}}}}, ["active_server_limit"]),
        ({"hub": {"config": {"JupyterHub": {"authenticator_class": "gitlap"}}}}, ["gitlap"]),
        ({"hub": {"config": {"Authenticator": {"alow_all": True}}}}, ["Authenticator.alow_all", "mean allow_all?"]),
        ({"hub": {"extraConfig": "c.JupyterHub.x = y\n"}}, ["NameError", "'y'"]),
        ({"hub": {"config": {"Spawner": {"mem_limit": "2G"}}}}, ["c.Spawner.mem_limit does nothing here"]),
        (
            {
                "catalog": {"defaults": {"flavor": "gone"}},
                "hub": {"config": {"JupyterHub": {"admin_acces": True}}},
            },
            ["'gone'", "admin_acces"],
        ),
    ],
)
def test_mistakes_of_meaning_are_named_before_anything_changes(
    values: Values,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = installation(tmp_path, values)
    with pytest.raises(SystemExit):
        check(folder, monkeypatch, "--no-database")
    said = capsys.readouterr().err
    assert "Traceback" not in said
    for word in words:
        assert word in said


AUTH_STATE = {
    "hub": {
        "config": {"JupyterHub": {"authenticator_class": "dummy"}, "DummyAuthenticator": {"enable_auth_state": True}}
    }
}


def test_auth_state_uses_the_charts_own_key_and_without_one_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = manifest_of(render(AUTH_STATE), "Deployment", "freepool-hub")["spec"]["template"]["spec"]
    (secrets,) = [one["secret"] for one in hub["volumes"] if one["name"] == "secrets"]
    assert "crypt-keys" in {item["key"] for item in secrets["items"]}
    (tmp_path / "with").mkdir()
    check(installation(tmp_path / "with", AUTH_STATE), monkeypatch, "--no-database")
    (tmp_path / "without").mkdir()
    with pytest.raises(SystemExit):
        check(installation(tmp_path / "without", AUTH_STATE, keys=False), monkeypatch, "--no-database")
    assert "openssl rand -hex 32" in capsys.readouterr().err


def test_an_unreachable_database_and_a_bad_address_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = installation(tmp_path, {})
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    for url, words in (
        ("postgresql+psycopg://u:p@127.0.0.1:1/x", "The database is not responding"),
        ("no address", "database.url is not an address"),
    ):
        (folder / "settings.yaml").write_text(yaml.safe_dump(settings | {"ledger_url": url}))
        with pytest.raises(SystemExit):
            check(folder, monkeypatch)
        assert words in capsys.readouterr().err
