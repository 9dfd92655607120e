"""Carries a rename on to what JupyterHub keeps of a user in memory.

JupyterHub 6 changes the row alone. Its `User` keeps the URL of the old name until the hub is restarted, and the proxy
keeps the route: the next user of the name would be let into the server of the former one, and both would share a URL.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.utils import url_escape_path, url_path_join


async def carry_on_rename(user_id: int) -> None:
    """Move the user's URL and routes to the present name. Does nothing where this process is no hub."""
    if not JupyterHub.initialized():
        return
    hub = JupyterHub.instance()
    user = dict.get(hub.users, user_id)
    if user is None:
        return
    user.base_url = user.prefix = url_path_join(user.settings.get("base_url", "/"), "user", user.escaped_name) + "/"
    for server_name, spawner in list(user.spawners.items()):
        if spawner.active:
            await _move_route(hub.proxy, user, server_name, spawner)
        else:
            user.spawners.pop(server_name)  # the next one is made with the present name


async def _move_route(proxy: Any, user: Any, server_name: str, spawner: Any) -> None:
    before = spawner.proxy_spec
    spawner.proxy_spec = url_path_join(user.proxy_spec, url_escape_path(server_name), "/")
    await proxy.delete_route(before)
    if spawner.ready:
        await proxy.add_user(user, server_name)
