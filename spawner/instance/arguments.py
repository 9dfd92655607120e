"""How the Jupyter server of an instance is run, wherever it lives."""

from __future__ import annotations

from pathlib import Path

from spawner.instance.features import WORKSPACE
from spawner.instance.folders import export_arguments

__all__ = ["ARCHIVE", "LARGEST_MESSAGE", "WORKSPACE", "lab_arguments", "server_arguments"]

ARCHIVE = "freepool/files.zip"
"""Below the server's own address: all of its files, as one download."""

LARGEST_MESSAGE = 512 * 1024 * 1024
"""Bytes of one websocket message, as Jupyter Server's limit for a file by HTTP. Widgets upload a file in one message,
and Tornado closes a connection with more than 10 MiB without a word."""


LAB = Path(__file__).parent / "lab"
"""The folder of our JupyterLab extension."""


def lab_arguments() -> list[str]:
    """Options that only the instance can know: where this package lies in it, and which programs it has."""
    return [f"--LabApp.extra_labextensions_path={LAB}", *export_arguments()]


def server_arguments(root: str) -> list[str]:
    """Lean (nothing that asks the network or node), kernels over private sockets."""
    return [
        f"--ServerApp.root_dir={root}",
        "--ServerApp.jpserver_extensions={'spawner.instance.extension': True, 'jupyter_server_proxy': False}",
        f"--ServerApp.tornado_settings={{'websocket_max_message_size': {LARGEST_MESSAGE}}}",
        "--ServerApp.kernel_spec_manager_class=spawner.instance.kernels.SafePathSpecs",
        "--KernelManager.transport=ipc",
        # Else a kernel that dies in its first seconds gets other sockets, and open tabs lose it for a minute.
        "--KernelRestarter.random_ports_until_alive=False",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LanguageServerManager.autodetect=False",
    ]
