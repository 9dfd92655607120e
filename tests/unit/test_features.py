"""What every instance gives: sizes by machine type, and what the agent prepares in its folders."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spawner.instance import features, folders
from spawner.pool.backends.kubernetes import manifest
from spawner.pool.backends.local import sandbox
from spawner.settings import KubernetesPool
from tests.features import inside
from tests.unit import make
from tests.unit.make import GIB

MIB = 1024**2
POOL = KubernetesPool(namespace="pool")


def test_sizes_follow_the_machine_type_and_are_never_tiny() -> None:
    assert features.place_sizes(memory=2 * GIB, disk=GIB) == features.PlaceSizes(GIB, GIB // 2, GIB // 2, GIB)
    assert features.place_sizes(memory=MIB, disk=MIB) == features.PlaceSizes(MIB, 256 * MIB, 256 * MIB, 256 * MIB)


def test_both_backends_have_the_same_room_at_the_same_places() -> None:
    flavor = make.flavor(memory=2 * GIB, disk=GIB)
    volumes = {one["name"]: one["emptyDir"] for one in manifest._volumes(flavor, POOL)}
    pod = {one["mountPath"]: int(volumes[one["name"]]["sizeLimit"]) for one in manifest._mounts(POOL)}
    local = features.place_sizes(memory=2 * GIB, disk=GIB).by_path(sandbox.HOME)
    assert pod | {"home": pod.pop(manifest.HOME)} == local | {"home": local.pop(sandbox.HOME)}
    assert volumes["shm"]["medium"] == volumes["runtime"]["medium"] == "Memory"


def test_every_feature_has_a_check() -> None:
    assert {entry.id for entry in features.FEATURES} == inside.CHECKS.keys() | {"exports"}


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Workspace and home. The limits of the test's own process stay."""
    monkeypatch.setattr(folders, "set_limits", lambda: None)
    for name in ("workspace", "home"):
        (tmp_path / name).mkdir()
    return tmp_path / "workspace", tmp_path / "home"


def test_caches_and_packages_are_in_the_workspace(places: tuple[Path, Path]) -> None:
    root, home = places
    environment = {"HOME": str(home), "PATH": "/image/bin:/usr/bin"}
    folders.settle(root, environment)
    (home / ".cache/modelscope").mkdir()
    assert (root / ".cache/modelscope").is_dir()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert (root / ".local/lib" / version / "site-packages").is_dir(), "a running kernel imports what comes later"
    assert environment["PATH"] == f"/image/bin:{root}/.local/bin:/usr/bin"
    folders.settle(root, environment)
    assert environment["PATH"] == f"/image/bin:{root}/.local/bin:/usr/bin"


def test_what_an_image_or_its_operator_has_set_stays(places: tuple[Path, Path]) -> None:
    root, home = places
    (home / ".cache").mkdir()
    environment = {"HOME": str(home), "HF_HOME": "/models", "MATPLOTLIBRC": "/own"}
    folders.settle(root, environment)
    assert environment["HF_HOME"] == "/models"
    assert not (home / ".cache").is_symlink()
    assert not (home / ".config").exists()


def test_an_instance_starts_where_nothing_can_be_prepared(tmp_path: Path, places: tuple[Path, Path]) -> None:
    (tmp_path / "file").touch()
    folders.settle(tmp_path / "file", {"HOME": str(tmp_path / "file")})


@pytest.mark.parametrize("font", [True, False])
def test_matplotlib_gets_a_chinese_font_only_where_there_is_one(
    font: bool, places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It warns at each plot about a font that is missing."""
    monkeypatch.setattr(features, "CHINESE_FONTS", (("Fine Hei", str(tmp_path / "font.ttc")),))
    if font:
        (tmp_path / "font.ttc").touch()
    root, home = places
    folders.settle(root, {"HOME": str(home)})
    settings = home / ".config/matplotlib/matplotlibrc"
    assert settings.exists() == font
    assert not font or "font.family: sans-serif, Fine Hei\n" in settings.read_text()


def test_formats_are_offered_where_their_programs_are() -> None:
    none = folders.export_arguments(lambda _: None)
    assert "--PDFExporter.enabled=False" in none
    assert "--WebPDFExporter.enabled=False" in none
    some = folders.export_arguments(lambda name: f"/usr/bin/{name}" if name in ("pandoc", "xelatex") else None)
    assert {word.partition(".")[0] for word in some} == {"--WebPDFExporter", "--QtPDFExporter", "--QtPNGExporter"}


def test_an_environment_lets_its_user_install_packages(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n")
    assert sandbox.pyvenv_file(tmp_path).splitlines() == [
        "home = /usr/bin", "version = 3.11", "include-system-site-packages = true",
    ]  # fmt: skip
    assert sandbox.pyvenv_file(tmp_path / "none") == ""


def test_packages_of_the_machines_python_are_hidden(tmp_path: Path) -> None:
    for name in ("base/bin", "base/lib/python3.11/site-packages", "env/bin", "env/lib/python3.11/site-packages"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "base/bin/python3").touch()
    (tmp_path / "env/bin/python").symlink_to(tmp_path / "base/bin/python3")
    assert sandbox.outside_packages(tmp_path / "env") == [tmp_path / "base/lib/python3.11/site-packages"]


def test_threads_that_wait_leave_the_processor_to_others() -> None:
    assert features.thread_variables(0) == {
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
    }  # fmt: skip
