"""Configuration of the hub that we compare with on a cluster: KubeSpawner's defaults in everything that concerns speed.

Only what it takes to run beside another hub on the same cluster is set: addresses, namespace, image, and a token.
"""

from __future__ import annotations

import json
import os

given = json.loads(os.environ["BENCH_STOCK"])
c = get_config()  # type: ignore[name-defined]  # noqa: F821  (JupyterHub puts it there)
c.JupyterHub.bind_url = f"http://{given['address']}:{given['port']}"
c.JupyterHub.hub_bind_url = f"http://{given['address']}:{given['hub_port']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{given['proxy_api_port']}"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.namespace = given["namespace"]
c.KubeSpawner.image = given["image"]
c.KubeSpawner.image_pull_policy = "Never"
c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
# The image's user may write only where something is mounted, as with ours; the pod's volumes are wiped with it.
c.KubeSpawner.volumes = [{"name": name, "emptyDir": {}} for name in ("home", "workspace")]
c.KubeSpawner.volume_mounts = [
    {"name": "home", "mountPath": "/home/jovyan"},
    {"name": "workspace", "mountPath": "/mnt/workspace"},
]
c.KubeSpawner.fs_gid = 1000
c.KubeSpawner.uid = 1000
c.JupyterHub.services = [{"name": "bench", "api_token": given["token"]}]
c.JupyterHub.load_roles = [{"name": "admin", "services": ["bench"]}]
