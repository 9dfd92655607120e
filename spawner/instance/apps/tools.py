"""Programs with a page of their own, which the launcher offers where they are installed."""

from __future__ import annotations

import shlex
import site
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ADDRESS = "127.0.0.1"
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
    """`program` is looked for on the PATH, and `modules` where Python finds packages.

    In `command` stand `{port}`, `{root}`, `{prefix}` and `{python}`.
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


def installed(which: Callable[[str], str | None], has_module: Callable[[str], bool], *, has_hosts: bool) -> list[Tool]:
    """The tools that can be started here."""
    return [
        tool
        for tool in TOOLS
        if which(tool.program) and all(map(has_module, tool.modules)) and (has_hosts or not tool.needs_host)
    ]


def has_module(name: str) -> bool:
    """Whether kernels would find a package: Jupyter's own Python does not look where users install."""
    paths = [*sys.path, site.getusersitepackages()]
    return any((Path(path) / name).is_dir() for path in paths if path)


def command(tool: Tool, *, port: int, root: Path, prefix: str) -> str:
    """The command of a shell."""
    known = prefix.replace("{port}", str(port))
    given = {"port": str(port), "root": shlex.quote(str(root)), "prefix": known, "python": Path(sys.executable).name}
    return tool.command.format(**given)


def lay_out(tool: Tool, root: Path) -> None:
    """Make the file that the tool runs, if there is none."""
    file = root / tool.file
    if tool.file and not file.exists():
        file.write_text(tool.text, encoding="utf-8")
