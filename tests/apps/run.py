"""Starts the app in a user's notebook."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from tests.backends.notebook import Notebook
from tests.stack import Stack

PORT = 7860
APP = Path(__file__).with_name("app.py")
PROGRAM, PROGRAM_PORT = "streamlit", 8501
"""A program that the launcher has a tile for. The image has none of them, so the app goes by its name."""
SCRIPT = '#!/bin/sh\n# streamlit run FILE --server.port PORT\nexec python app.py "$4"\n'


async def start_app(stack: Stack, user: str, port: int = PORT) -> None:
    """Run it beside the kernels, as a cell would, and wait until it listens."""
    async with aiohttp.ClientSession() as session:
        notebook = Notebook(session, f"{stack.url}/user/{user}/", stack.user_token(user), "")
        await notebook.run(
            f"""
            import pathlib, socket, subprocess, sys, time
            file = pathlib.Path("app.py")
            file.write_text({APP.read_text()!r})
            program = pathlib.Path(".local/bin/{PROGRAM}")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text({SCRIPT!r})
            program.chmod(0o755)
            subprocess.Popen([sys.executable, str(file), "{port}"])
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", {port})).close()
                    break
                except OSError:
                    time.sleep(0.05)
            """
        )
