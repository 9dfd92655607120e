"""Programs with a page of their own, which the launcher offers where they are installed."""

from __future__ import annotations

import contextlib
import shlex
import site
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ADDRESS = "127.0.0.1"
MOST_PATH = 4096
PACKAGES = "lib/python3*/site-packages"
GRADIO_APP = '''"""A page for your model. Change it and start it again: python gradio_app.py"""

import gradio as gr


def answer(text, history):
    return text[::-1]  # your model


gr.ChatInterface(answer, title="My model").launch()
'''
STREAMLIT_APP = '''"""A page for your model. Change it: the page follows."""

import streamlit as st

text = st.text_input("Text")
st.write(text[::-1])  # your model
'''


@dataclass(frozen=True)
class Tool:
    """`program` is looked for on the PATH, and `modules` in the environment that it belongs to.

    In `command` stand `{port}`, `{root}`, `{prefix}` and `{python}`, the interpreter of that environment.
    `prefix` of an app on a host of its own is empty, else the path at which it is. `sees_prefix`: the app is asked with
    it. `page`: the path of its page. `file` and `text`: what it runs, made where it is missing.
    """

    id: str
    title: str
    program: str
    port: int
    command: str
    modules: tuple[str, ...] = ()
    page: str = "/"
    needs_host: bool = False
    sees_prefix: bool = False
    file: str = ""
    text: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


TOOLS = (
    Tool(
        "swift",
        "SWIFT",
        "swift",
        7861,
        "swift web-ui --server_name 127.0.0.1 --server_port {port}",
        modules=("gradio",),
    ),
    Tool(
        "evalscope",
        "EvalScope",
        "evalscope",
        7862,
        "mkdir -p outputs && evalscope service --host 127.0.0.1 --port {port} --outputs outputs",
        modules=("flask", "plotly", "sse_starlette"),
        needs_host=True,
    ),
    Tool(
        "tensorboard",
        "TensorBoard",
        "tensorboard",
        6006,
        "tensorboard --host 127.0.0.1 --port {port} --logdir {root} --path_prefix={prefix}",
        sees_prefix=True,
    ),
    Tool("gradio", "Gradio", "gradio", 7860, "{python} gradio_app.py", file="gradio_app.py", text=GRADIO_APP),
    Tool(
        "streamlit",
        "Streamlit",
        "streamlit",
        8501,
        "streamlit run streamlit_app.py --server.port {port}",
        file="streamlit_app.py",
        text=STREAMLIT_APP,
    ),
    Tool("vllm", "vLLM", "vllm", 8002, "vllm serve Qwen/Qwen3-0.6B --host 127.0.0.1 --port {port}", page="/docs"),
)


def variables(prefix: str) -> dict[str, str]:
    """Variables of kernels and terminals with which apps listen on loopback and know where they are.

    `prefix`: the path of an app with `{port}` in it; empty where each app has a host. Streamlit's own checks of the
    origin know no host but localhost, and a proxy that checks it is in front.
    """
    always = {
        "GRADIO_SERVER_NAME": ADDRESS,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "STREAMLIT_SERVER_ADDRESS": ADDRESS,
        "STREAMLIT_SERVER_HEADLESS": "true",
        "STREAMLIT_SERVER_ENABLE_CORS": "false",
        "STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION": "false",
        "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    }
    gradio = next(tool.port for tool in TOOLS if tool.id == "gradio")
    return always | ({"GRADIO_ROOT_PATH": prefix.replace("{port}", str(gradio))} if prefix else {})


def installed(
    which: Callable[[str], str | None], has_module: Callable[[str, str], bool], *, has_hosts: bool
) -> list[Tool]:
    """The tools that can be started here. `has_module`: whether a program, by its path, finds a module."""
    found = []
    for tool in TOOLS:
        program = which(tool.program)
        if program and all(has_module(program, name) for name in tool.modules) and (has_hosts or not tool.needs_host):
            found.append(tool)
    return found


def interpreter(program: str) -> Path:
    """The Python that runs a script: of its first line, else Jupyter's own."""
    with contextlib.suppress(OSError), Path(program).open("rb") as file:
        first = file.readline(MOST_PATH).decode(errors="replace").strip()
        if first.startswith("#!/") and "python" in Path(first[2:].split()[0]).name:
            return Path(first[2:].split()[0])
    return Path(sys.executable)


def has_module(program: str, name: str) -> bool:
    """Whether a program would find a package: in its own environment, or where users install for Jupyter's Python."""
    python = interpreter(program)
    own = python.parent.parent
    places = [Path(path) for path in sys.path if path] if own == Path(sys.prefix) else [*own.glob(PACKAGES)]
    return any((place / name).is_dir() for place in (*places, Path(site.getusersitepackages())))


def command(tool: Tool, *, port: int, root: Path, prefix: str, program: str = "") -> str:
    """The command of a shell. `program`: the path of the tool's program."""
    python = interpreter(program)
    name = python.name if python.parent.parent == Path(sys.prefix) else shlex.quote(str(python))
    known = prefix.replace("{port}", str(port))
    given = {"port": str(port), "root": shlex.quote(str(root)), "prefix": known, "python": name}
    return tool.command.format(**given)


def lay_out(tool: Tool, root: Path) -> None:
    """Make the file that the tool runs, if there is none."""
    file = root / tool.file
    if tool.file and not file.exists():
        file.write_text(tool.text, encoding="utf-8")
