"""A person's large files reach their notebook, by HTTP and by one message of a widget."""

from __future__ import annotations

import base64

import aiohttp

from tests.backends.notebook import Notebook
from tests.stack import Stack

SIZE = 24 * 1024 * 1024
COUNT = "print(len(open('big.bin', 'rb').read()))"
COUNT_IN_MESSAGE = "print(len(get_ipython().kernel.get_parent()['content']['file']))"


async def test_files_of_more_than_ten_megabytes_arrive_by_http_and_by_websocket(shared_stack: Stack) -> None:
    stack = shared_stack
    stack.add_user("uploader")
    stack.start("uploader")
    async with aiohttp.ClientSession() as session:
        url = f"{stack.url}/user/uploader/"
        notebook = Notebook(session, url, stack.user_token("uploader"), "")
        body = {"type": "file", "format": "base64", "content": base64.b64encode(b"x" * SIZE).decode()}
        headers = {"Authorization": f"token {notebook.token}"}
        assert stack.http.put(f"{url}api/contents/big.bin", json=body, headers=headers).status_code == 201
        assert (await notebook.run(COUNT)).strip() == str(SIZE)
        # ipywidgets sends a file to the kernel in one message, as this does beside its code.
        assert (await notebook.run(COUNT_IN_MESSAGE, file="x" * SIZE)).strip() == str(SIZE)
    stack.stop("uploader")
