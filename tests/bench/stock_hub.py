"""Configuration of the hub that we compare with: JupyterHub's defaults in everything that concerns speed.

Only what it takes to run beside another hub is set: addresses, and a token to drive it with.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

given = json.loads(os.environ["BENCH_STOCK"])
c = get_config()  # type: ignore[name-defined]  # noqa: F821  (JupyterHub puts it there)
c.JupyterHub.bind_url = f"http://127.0.0.1:{given['port']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{given['hub_port']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{given['proxy_api_port']}"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(Path.cwd() / "homes" / "{username}")
c.JupyterHub.services = [{"name": "bench", "api_token": given["token"]}]
c.JupyterHub.load_roles = [{"name": "admin", "services": ["bench"]}]
if os.geteuid() == 0:
    c.Spawner.args = ["--allow-root"]
