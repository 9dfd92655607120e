"""A hub of another chart, configured like zero-to-jupyterhub's as far as the pool is concerned.

What helm/z2jh-values.yaml says is put where that chart puts it: volumes, environment, lines for the hub's file.
"""

from __future__ import annotations

from typing import Any

import yaml

from tests.helm.chart import CHART, Manifest
from tests.helm.release import built_images

TOKEN = "a-token-of-their-own-service"
LABELS = {part: {"app": "jupyterhub", "component": part} for part in ("hub", "proxy")}
FILE = f'''\
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.ConfigurableHTTPProxy.api_url = "http://proxy-api:8001"
c.ConfigurableHTTPProxy.should_start = False
c.JupyterHub.cleanup_servers = False
c.JupyterHub.last_activity_interval = 60
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 0}}
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
c.JupyterHub.concurrent_spawn_limit = 64
c.JupyterHub.hub_bind_url = "http://:8081"
c.JupyterHub.hub_connect_url = "http://hub:8081"
c.Spawner.consecutive_failure_limit = 5
c.JupyterHub.services = [{{"name": "theirs", "api_token": "{TOKEN}"}}]
c.JupyterHub.load_roles = [
    {{"name": "theirs", "scopes": ["admin:users", "admin:servers", "access:servers"], "services": ["theirs"]}}
]
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
'''


def objects(namespace: str) -> list[Manifest]:
    """The other chart's objects: a hub, a proxy and their Services."""
    values = yaml.safe_load((CHART / "z2jh-values.yaml").read_text())["hub"]
    file = FILE + "".join(program for _, program in sorted(values["extraConfig"].items()))
    account = {"metadata": {"name": "hub", "namespace": namespace}}
    config = {"name": "config", "configMap": {"name": "hub"}}
    environment = values["extraEnv"] | {"CONFIGPROXY_AUTH_TOKEN": "word", "HOME": "/tmp"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", **account},
        {"apiVersion": "v1", "kind": "ConfigMap", **account, "data": {"jupyterhub_config.py": file}},
        _service("hub", namespace, "hub", 8081),
        _service("proxy-api", namespace, "proxy", 8001),
        _service("proxy-public", namespace, "proxy", 8000),
        _deployment(
            "hub",
            namespace,
            args=["python", "-m", "jupyterhub", "-f", "/usr/local/etc/jupyterhub/jupyterhub_config.py"],
            environment=environment,
            volumes=[config, {"name": "srv", "emptyDir": {}}, *values["extraVolumes"]],
            mounts=[
                {"name": "config", "mountPath": "/usr/local/etc/jupyterhub"},
                {"name": "srv", "mountPath": "/srv/jupyterhub"},
                *values["extraVolumeMounts"],
            ],
            folder="/srv/jupyterhub",
            port=8081,
        ),
        _deployment(
            "proxy",
            namespace,
            args=["configurable-http-proxy", "--ip=", "--api-ip=", "--api-port=8001", "--port=8000",
                  "--default-target=http://hub:8081", "--error-target=http://hub:8081/hub/error"],
            environment=environment,
            port=8000,
        ),
    ]  # fmt: skip


def _service(name: str, namespace: str, component: str, port: int) -> Manifest:
    ports = [{"protocol": "TCP", "port": port}]
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"selector": LABELS[component], "ports": ports},
    }  # fmt: skip


def _deployment(
    name: str,
    namespace: str,
    *,
    args: list[str],
    environment: dict[str, str],
    port: int,
    volumes: list[Any] | None = None,
    mounts: list[Any] | None = None,
    folder: str = "/tmp",
) -> Manifest:
    image = built_images()
    container = {
        "name": name,
        "image": f"{image['repository']}/hub:{image['tag']}",
        "args": args,
        "workingDir": folder,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "volumeMounts": mounts or [],
        # As that chart has it: a Deployment is available once its program answers.
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
    pod = {
        "serviceAccountName": "hub",
        "securityContext": {"fsGroup": 1000},
        "containers": [container],
        "volumes": volumes or [],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": LABELS[name]},
            "template": {"metadata": {"labels": LABELS[name]}, "spec": pod},
        },
    }
