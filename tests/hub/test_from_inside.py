"""What code in a notebook sees of the platform: its public port, and no socket."""

from __future__ import annotations

import json

import aiohttp

from spawner.client_address import sandbox_address
from tests.backends.notebook import Notebook
from tests.stack import Stack

LOOK = """
import json, os, socket, urllib.error, urllib.request
found = {}
for path in %r:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            found[path] = "connected"
        except OSError as error:
            found[path] = type(error).__name__
url = os.environ["JUPYTERHUB_API_URL"]
headers = {"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"], "X-Forwarded-For": "6.6.6.6"}
def get(url):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
login = get(url.replace("/api", "/link?user=insider&token=x"))
print(json.dumps({"sockets": found, "url": url, "hub": get(url + "/user"), "desk": get(url + "%s"), "login": login}))
"""


async def test_a_notebook_reaches_hub_and_desk_through_the_proxy_and_none_of_their_sockets(shared_stack: Stack) -> None:
    stack, settings = shared_stack, shared_stack.settings
    assert settings.sockets is not None
    sockets = sorted(str(path) for path in settings.sockets.iterdir())
    assert len(sockets) == 3
    stack.add_user("insider")
    stack.start("insider")
    (instance,) = (one for one in stack.unended() if one.user_name == "insider")
    async with aiohttp.ClientSession() as session:
        notebook = Notebook(session, f"{stack.url}/user/insider/", stack.user_token("insider"), "")
        said = json.loads(await notebook.run(LOOK % (sockets, "/../../services/desk/health")))
    stack.stop("insider")
    assert said == {
        "sockets": dict.fromkeys(sockets, "FileNotFoundError"),
        "url": f"http://127.0.0.1:{stack.port}/hub/api",
        "hub": 200,
        "desk": 200,
        "login": 403,
    }
    log = stack.log("hub")
    assert instance.slot_id is not None
    assert f"({sandbox_address(instance.slot_id)})" in log, "each slot has an address of its own"
    assert "6.6.6.6" not in log
