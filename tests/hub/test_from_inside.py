"""What code in a notebook sees of the platform: its public port, and no socket."""

from __future__ import annotations

import json

import aiohttp

from tests.backends.notebook import Notebook
from tests.stack import Stack

LOOK = """
import json, os, socket, urllib.request
found = {}
for path in %r:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            found[path] = "connected"
        except OSError as error:
            found[path] = type(error).__name__
url = os.environ["JUPYTERHUB_API_URL"]
token = {"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]}
def get(url):
    with urllib.request.urlopen(urllib.request.Request(url, headers=token), timeout=20) as answer:
        return answer.status
print(json.dumps({"sockets": found, "url": url, "hub": get(url + "/user"), "desk": get(url + "%s")}))
"""


async def test_a_notebook_reaches_hub_and_desk_through_the_proxy_and_none_of_their_sockets(shared_stack: Stack) -> None:
    stack, settings = shared_stack, shared_stack.settings
    assert settings.sockets is not None
    sockets = sorted(str(path) for path in settings.sockets.iterdir())
    assert len(sockets) == 3
    stack.add_user("insider")
    stack.start("insider")
    async with aiohttp.ClientSession() as session:
        notebook = Notebook(session, f"{stack.url}/user/insider/", stack.user_token("insider"), "")
        said = json.loads(await notebook.run(LOOK % (sockets, "/../../services/desk/health")))
    stack.stop("insider")
    assert said == {
        "sockets": dict.fromkeys(sockets, "FileNotFoundError"),
        "url": f"http://127.0.0.1:{stack.port}/hub/api",
        "hub": 200,
        "desk": 200,
    }
