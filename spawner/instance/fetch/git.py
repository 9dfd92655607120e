"""Runs git without the user's configuration, hooks, filters, submodules, prompts and redirects, by https only.

What it says and how much memory it takes have limits: a server and a repository decide both, and the memory is that of
the user's notebooks.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from spawner.instance.fetch.wanted import FetchFailed
from spawner.instance.subprocesses import kill_session

CAUSES = (
    (r"redirect|returned error: 30\d", "redirected"),
    (r"remote branch .* not found|couldn't find remote ref|not our ref|unadvertised object", "no_ref"),
    (r"not found|does not exist|authentication failed|terminal prompts|returned error: 40[134]", "not_found"),
    (r"could not read (username|password)", "not_found"),
    (r"no space left|disk quota", "disk_full"),
    (r"transport .* not allowed", "not_allowed"),
    (r"could not resolve|failed to connect|timed out|ssl|certificate|unable to access|connection", "unreachable"),
)  # fmt: skip
OPTIONS: Sequence[str] = (
    "-c", "credential.helper=", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
    "-c", "http.followRedirects=false", "-c", "protocol.allow=never", "-c", "protocol.https.allow=always",
    "-c", "submodule.recurse=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
    "-c", "filter.lfs.smudge=", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false",
    "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30", "-c", "safe.bareRepository=explicit",
    "-c", "core.bigFileThreshold=32m", "-c", "pack.threads=1",
)  # fmt: skip
LARGEST_OUTPUT = 8 * 1024**2
"""Bytes of what one command says: more than the list of as many files as may be fetched."""
LARGEST_ERRORS = 64 * 1024
"""Bytes that are kept of its errors. The last of them say why it failed; a server may send lines without an end."""
MEMORY_KIB = 512 * 1024
"""Of one git process. Large files are not read as a whole, but a pack can hold a few bytes that become gigabytes."""
LIMITED = ("sh", "-c", f'ulimit -d {MEMORY_KIB} 2>/dev/null; exec git "$@"', "git")
BLOCK = 64 * 1024


async def run_git(folder: Path, *arguments: str, certificates: Path | None = None) -> str:
    """What one command says. `certificates`: a file of those to trust in place of the system's.

    Raises `FetchFailed` with the cause that git's output names; `too_many` where it says more than `LARGEST_OUTPUT`.
    """
    process = await asyncio.create_subprocess_exec(
        *LIMITED,
        *OPTIONS,
        *arguments,
        cwd=folder,
        env=environment(os.environ, certificates),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.TaskGroup() as group:
            output, errors = group.create_task(_all(process.stdout)), group.create_task(_end(process.stderr))
        await process.wait()
    except BaseException as error:
        await kill_session(process)
        if isinstance(error, ExceptionGroup):
            raise FetchFailed("too_many") from None
        raise
    if process.returncode:
        said = errors.result().decode(errors="replace").strip()
        raise FetchFailed(cause_of(said), said)
    return output.result().decode(errors="replace").strip()


async def _all(stream: asyncio.StreamReader) -> bytes:
    """Raises `FetchFailed` where it is too much."""
    found = bytearray()
    while block := await stream.read(BLOCK):
        found += block
        if len(found) > LARGEST_OUTPUT:
            raise FetchFailed("too_many")
    return bytes(found)


async def _end(stream: asyncio.StreamReader) -> bytes:
    """The last bytes."""
    found = b""
    while block := await stream.read(BLOCK):
        found = (found + block)[-LARGEST_ERRORS:]
    return found


def environment(given: Mapping[str, str], certificates: Path | None = None) -> dict[str, str]:
    """Of git: nothing of the user's configuration, no prompt, no token of the notebook's, no password of ~/.netrc."""
    kept = {name: value for name, value in given.items() if not name.startswith(("GIT_", "JUPYTER", "FREEPOOL"))}
    return {
        **kept,
        **({"GIT_SSL_CAINFO": str(certificates)} if certificates else {}),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_ALLOW_PROTOCOL": "https",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


def cause_of(said: str) -> str:
    """The cause that git's output names; `failed` where it names none."""
    text = said.lower()
    return next((code for pattern, code in CAUSES if re.search(pattern, text)), "failed")
