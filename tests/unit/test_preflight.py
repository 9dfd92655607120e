"""Missing requirements are reported before any process starts, in one sentence with a remedy."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from spawner.catalog import load_catalog
from spawner.errors import SetupError
from spawner.local import preflight
from spawner.settings import LOOPBACK, SETTINGS_VARIABLE, Isolation, Settings, load_settings
from tests.stack import PROJECT


def settings(tmp_path: Path) -> Settings:
    return Settings(
        catalog=tmp_path / "c", state=tmp_path, images=tmp_path / "images", examples=tmp_path, ledger_url="sqlite:///x"
    )


# The port


def test_a_used_port_is_named_with_a_remedy() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"Port {port} cannot be used: Address already in use\. .*PORT=8001"):
            preflight.require_free_port(port)
    preflight.require_free_port(port)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(SetupError, match="cannot be used"):
        preflight.require_free_port(port)


@pytest.mark.parametrize("port", ["abc", "", "0", "80231", "-1", "8000.0", "²"])
def test_an_invalid_port_is_refused_in_one_sentence(port: str) -> None:
    with pytest.raises(SetupError, match=rf"Port {port} cannot be used: it must be a number from 1 to 65535\."):
        preflight.port_number(port)
    assert preflight.port_number("65535") == 65535


# The sandbox


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("present", "missing"), [([], "bwrap and setpriv is missing"), (["setpriv"], "bwrap is missing")]
)
def test_missing_tools_are_named_with_their_installation_and_an_alternative(
    present: list[str], missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in present:
        program(tmp_path, name, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=missing) as caught:
        preflight.require_sandbox(Isolation.BUBBLEWRAP)
    assert "sudo apt-get install bubblewrap" in caught.value.next_step
    assert "UNSAFE=1" in caught.value.next_step
    preflight.require_sandbox(Isolation.NONE)


def test_a_bubblewrap_that_does_not_work_here_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "setpriv", "exit 0")
    program(tmp_path, "bwrap", "echo 'warning' >&2; echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SetupError, match=r"cannot make a sandbox here: bwrap: No permissions to create new namespace"):
        preflight.require_sandbox(Isolation.BUBBLEWRAP)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_missing_libseccomp_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.syscalls, "LIBRARY", "libnothing.so.2")
    preflight.syscalls.program.cache_clear()
    with pytest.raises(SetupError, match=r"filter cannot be created: libnothing\.so\.2") as caught:
        preflight.require_sandbox(Isolation.BUBBLEWRAP)
    assert "apt-get install libseccomp2" in caught.value.next_step
    preflight.require_sandbox(Isolation.NONE)


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_the_installed_bubblewrap_works() -> None:
    preflight.require_sandbox(Isolation.BUBBLEWRAP)


# Requirements that `make setup` installs


def test_a_missing_default_image_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    catalog = load_catalog(PROJECT / "hub_config" / "catalog.yaml")
    with pytest.raises(SetupError, match=r"The default image light is not installed in .*images\. Run `make setup`\."):
        preflight.require_default_image(settings(tmp_path), catalog)
    (tmp_path / "images" / "light" / "bin").mkdir(parents=True)
    (tmp_path / "images" / "light" / "bin" / "python").touch()
    preflight.require_default_image(settings(tmp_path), catalog)


def test_a_missing_proxy_is_named_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.sys, "prefix", str(tmp_path))
    with pytest.raises(SetupError, match=r"configurable-http-proxy is not installed .*Run `make setup`\."):
        preflight.proxy_command()


# Settings and secrets


def test_paths_of_the_local_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text("catalog: catalog.yaml\nimages: ../images\n")
    assert preflight.read_local_file(tmp_path / "local.yaml") == {
        "catalog": tmp_path / "catalog.yaml",
        "images": tmp_path.parent / "images",
    }


@pytest.mark.parametrize("text", ["- a\n", "words", "catalog: [1]\n", "{", ""])
def test_an_invalid_local_file_is_reported(text: str, tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text(text)
    with pytest.raises(SetupError, match="is not valid"):
        preflight.read_local_file(tmp_path / "local.yaml")


def test_a_missing_local_file_says_where_to_start(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"cannot be read: No such file or directory\. Start in the project's folder"):
        preflight.read_local_file(tmp_path / "local.yaml")


def test_missing_settings_are_reported_with_how_to_name_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SETTINGS_VARIABLE, raising=False)
    with pytest.raises(SetupError, match=f"Use `freepool up`, or set {SETTINGS_VARIABLE}"):
        load_settings()


@pytest.mark.parametrize("text", ["a: 1", "[", "state: 1"])
def test_invalid_settings_are_reported(text: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(SetupError, match="are not valid"):
        load_settings(tmp_path / "settings.yaml")


def test_settings_are_read_as_written(tmp_path: Path) -> None:
    written = settings(tmp_path)
    (tmp_path / "settings.json").write_text(written.model_dump_json())
    assert load_settings(tmp_path / "settings.json") == written


def test_a_missing_secret_is_named_but_never_shown(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"The secret slots cannot be read: No such file or directory\. Start with"):
        settings(tmp_path).secret("slots")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "slots").write_text("hunter2\n")
    assert settings(tmp_path).secret("slots") == "hunter2"
    assert "hunter2" not in repr(settings(tmp_path))
