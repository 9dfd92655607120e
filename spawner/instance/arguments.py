"""How the Jupyter server of an instance is run, wherever it lives."""

from __future__ import annotations

WORKSPACE = "/mnt/workspace"
ARCHIVE = "freepool/files.zip"
"""Below the server's own address: all of its files, as one download."""


def server_arguments(root: str) -> list[str]:
    """Lean (nothing that asks the network or node), kernels over private sockets."""
    return [
        f"--ServerApp.root_dir={root}",
        "--ServerApp.jpserver_extensions={'spawner.instance.extension': True}",
        "--ServerApp.no_browser_open_file=True",
        "--KernelManager.transport=ipc",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LanguageServerManager.autodetect=False",
    ]
