"""What can be said of the images without building them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hub_config.prove import left_out
from spawner.instance import features
from tests.images.recipes import DOCKERFILES, IMAGES, ROOT, VARIANTS, arguments, instructions, lock

CUDA = re.compile(r"nvidia-.*|cuda-.*|triton")
LOCKS = sorted(ROOT.glob("images/*/*.lock"))
NOTEBOOKS = [path for path in LOCKS if path.parent.name != "tools"]
"""The tool chain's environment is no notebook's, and has versions of its own."""


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.parent.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_gpu_differs_from_cpu_by_lock_and_driver_only() -> None:
    cpu, gpu = arguments("cpu"), arguments("gpu")
    assert {name for name in cpu.keys() | gpu.keys() if cpu.get(name) != gpu.get(name)} == {
        "LOCK",
        "TOOLS",
        "NVIDIA_DRIVER_CAPABILITIES",
    }


def test_every_argument_of_a_variant_is_one_that_the_recipe_knows() -> None:
    known = {text.split("=")[0] for name, text in instructions(IMAGES / "instance" / "Dockerfile") if name == "ARG"}
    for variant in VARIANTS:
        assert arguments(variant).keys() <= known
        assert all((ROOT / path).exists() for name, path in arguments(variant).items() if name in ("LOCK", "TOOLS"))


def test_the_large_images_have_the_environments_of_one_machine() -> None:
    """`make run HEAVY=1` installs the same two, with and without TORCH_INDEX."""
    for variant, build in (("gpu", "requirements"), ("cpu", "processor")):
        given = arguments(variant)
        assert (given["LOCK"], given["TOOLS"]) == (f"images/torch/{build}.lock", f"images/tools/{build}.lock")
    makefile = (ROOT / "Makefile").read_text()
    for name, folder in (("TORCH_LOCK", "torch"), ("TOOLS_LOCK", "tools")):
        assert f"{name} := images/{folder}/$(if $(TORCH_INDEX),processor,requirements).lock" in makefile


def test_the_recipe_installs_with_the_same_versions_of_pip_and_uv_as_one_machine() -> None:
    setup = (ROOT / "hub_config" / "setup").read_text()
    lines = [text for name, text in instructions(IMAGES / "instance" / "Dockerfile") if name == "ARG"]
    found = dict(text.split("=", 1) for text in lines if "=" in text)
    for name in ("pip", "uv"):
        (version,) = re.findall(rf"^{name}_version=(.+)$", setup, re.MULTILINE)
        assert found[name.upper()] == f"{name}=={version}"


def test_the_recipe_knows_no_variant() -> None:
    text = "\n".join(f"{name} {rest}" for name, rest in instructions(IMAGES / "instance" / "Dockerfile"))
    # The settings of JupyterLab are common to all, and lie beside the lock of the smallest.
    for common in ("images/light/overrides.json", "images/instance/no-tools.txt"):
        text = text.replace(common, "")
    assert not re.search(r"\b(light|cpu|gpu)\b", text)


def asked_for(path: Path) -> set[str]:
    """Packages that a requirements.in names, and those of the files that it names."""
    found: set[str] = set()
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            found |= asked_for(path.parent / line[3:])
        elif line and not line.startswith("#"):
            found.add(canonicalize_name(Requirement(line).name))
    return found


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_lock_has_everything_that_was_asked_for(path: Path) -> None:
    assert asked_for(path.parent / "requirements.in") <= lock(path).keys()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_the_light_lock_pins_is_the_same_everywhere(path: Path) -> None:
    light, this = lock(IMAGES / "light/requirements.lock"), lock(path)
    assert {name: this.get(name) for name in light} == light


@pytest.mark.parametrize("environment", ["torch", "tools"])
def test_the_two_locks_differ_by_the_build_of_pytorch_only(environment: str) -> None:
    pypi, processor = (lock(IMAGES / environment / f"{name}.lock") for name in ("requirements", "processor"))
    assert processor.pop("torch") == pypi.pop("torch") + "+cpu"
    assert not [name for name in processor if CUDA.fullmatch(name)]
    assert {name: version for name, version in pypi.items() if not CUDA.fullmatch(name)} == processor


@pytest.mark.parametrize("environment", ["torch", "tools"])
def test_the_lock_for_pypis_pytorch_has_what_it_loads_and_is_satisfied_by_no_other_build(environment: str) -> None:
    path = IMAGES / environment / "requirements.lock"
    assert {"nvidia-cuda-runtime", "nvidia-cublas", "nvidia-cudnn-cu13", "cuda-toolkit", "triton"} <= lock(path).keys()
    (torch,) = [Requirement(line) for line in path.read_text().splitlines() if line.startswith("torch=")]
    version = lock(path)["torch"]
    assert torch.specifier.contains(version)
    assert not torch.specifier.contains(f"{version}+cpu")


def test_the_tool_chain_runs_on_the_notebooks_build_of_pytorch() -> None:
    for name in ("requirements", "processor"):
        tools, torch = (lock(IMAGES / environment / f"{name}.lock") for environment in ("tools", "torch"))
        shared = {package for package in torch if package == "torch" or CUDA.fullmatch(package)}
        assert {package: tools[package] for package in shared} == {package: torch[package] for package in shared}
        assert "jupyterlab" not in tools, "Jupyter has an environment of its own"


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_locks_leave_out_what_is_left_out_on_purpose(path: Path) -> None:
    assert lock(path).keys().isdisjoint(left_out())
    assert left_out() == {"rfc3987-syntax", "lark", "opencv-python", "jupyter-kernel-client"}


def locks_of(name: str, **variables: str) -> list[str]:
    """The locks that `images/build` gives an image of instances."""
    environment = {name: value for name, value in os.environ.items() if name not in ("TORCH_INDEX", "PIP_FIND_LINKS")}
    return subprocess.run(
        ["bash", "-c", f"ROOT={ROOT}; . images/engine.sh; locks_of {name}"],
        cwd=ROOT, env={**environment, "PYTHON": sys.executable, **variables},
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip


def test_cpu_gets_the_build_of_pytorch_that_is_in_reach(tmp_path: Path) -> None:
    small, pypi = (
        [f"images/{folder}/{build}.lock" for folder in ("torch", "tools")] for build in ("processor", "requirements")
    )
    assert locks_of("cpu") == pypi
    assert locks_of("cpu", TORCH_INDEX="https://torch.example/cpu") == small
    assert locks_of("cpu", TORCH_INDEX=str(tmp_path)) == pypi, "an empty folder has no build"
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    assert locks_of("cpu", TORCH_INDEX=str(tmp_path)) == small
    assert locks_of("cpu", PIP_FIND_LINKS=str(tmp_path)) == small
    assert locks_of("gpu", TORCH_INDEX=str(tmp_path)) == pypi
    assert locks_of("light", TORCH_INDEX="https://torch.example/cpu") == ["images/light/requirements.lock"]
    assert locks_of("hub") == []


def test_nobody_is_root(dockerfile: Path) -> None:
    last = instructions(dockerfile)
    stage = max(index for index, (name, _) in enumerate(last) if name == "FROM")
    assert [text for name, text in last[stage:] if name == "USER"] == ["1000:1000"]


def test_all_images_have_one_base(dockerfile: Path) -> None:
    assert ("ARG", "BASE=docker.io/library/debian:bookworm-slim") in instructions(dockerfile)


def test_layers_go_from_seldom_to_often() -> None:
    found = instructions(IMAGES / "instance" / "Dockerfile")
    stage = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    copied = [text.split()[-1] for name, text in found[stage:] if name == "COPY"]
    assert copied == ["/opt/freepool/requirements.lock", "/opt/freepool/tools.lock", "/opt/freepool/build/", "/", "/"]


def test_what_is_copied_is_there(dockerfile: Path) -> None:
    for name, text in instructions(dockerfile):
        if name == "COPY" and "--from" not in text:
            for source in [word for word in text.split() if not word.startswith("--")][:-1]:
                assert source in ("${LOCK}", "${TOOLS}") or [*ROOT.glob(source)], source


def test_no_package_host_is_named() -> None:
    for path in [*DOCKERFILES, *IMAGES.glob("instance/*.args"), *IMAGES.glob("*/requirements.*"), *LOCKS]:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert not re.search(r"https?://[a-z]", "\n".join(lines)), path


def test_every_image_has_a_limit() -> None:
    limited = {line.split()[0] for line in (IMAGES / "limits").read_text().splitlines() if line and line[0] != "#"}
    assert limited == {"hub", "postgres", *VARIANTS}


def test_images_of_instances_have_the_variables_of_every_instance() -> None:
    (text,) = [text for name, text in instructions(IMAGES / "instance" / "Dockerfile") if name == "ENV"]
    found = dict(word.split("=", 1) for word in text.split())
    expected = features.variables(features.WORKSPACE)
    del expected["PYTHONUSERBASE"]  # the agent sets it for what it starts
    assert {name: found.get(name) for name in expected} == expected
    assert "PYTHONUSERBASE" not in found
    assert found["JUPYTER_RUNTIME_DIR"] == features.RUNTIME
