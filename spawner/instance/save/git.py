"""Pushes files of a workspace to a branch of a Git repository, by `git` itself.

The repository is a temporary one outside the workspace, so nothing is written into a repository of the user's. The
token is only in the environment of these processes: not in the URL, an argument, a configuration or a file.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from spawner.instance.subprocesses import kill_session

PUSH_SECONDS = 600.0
HELPER = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$FREEPOOL_GIT_USER" "$FREEPOOL_GIT_TOKEN"; }; f'
)
DEFAULT_USER = "oauth2"
"""The name that ModelScope, GitLab and others want beside a token; GitHub takes any."""
LONGEST_DETAILS = 2000
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"authentication failed|could not read (username|password)|(error:|http) 40[13]\b|access denied|permission",
        "auth",
    ),
    (r"repository .*not found|does not exist|(error:|http) 404\b|not found", "not_found"),
    (r"large files|exceeds|file size limit|(error:|http) 413\b|too large", "too_large"),
    (r"non-fast-forward|fetch first|stale info", "moved"),
    (r"remote rejected|pre-receive|hook declined|protected branch", "rejected"),
    (r"could not resolve|failed to connect|connection|timed out|ssl|certificate|unable to access", "unreachable"),
)


class PushFailed(Exception):
    """Why nothing was pushed: `code` is one of `bad_url`, `bad_branch`, `bad_token`, `nothing`, `no_git`, `timed_out`,
    `failed` and the causes above. `details` is what git said."""

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(f"{code} {details}".strip())
        self.code = code
        self.details = details[:LONGEST_DETAILS]


@dataclass(frozen=True)
class GitTarget:
    """Where to push. `schemes` are those that the URL may have."""

    url: str
    branch: str
    token: str = field(repr=False)
    user: str = DEFAULT_USER
    message: str = "Save files of a Freepool notebook"
    schemes: tuple[str, ...] = ("https",)

    def __post_init__(self) -> None:
        """Raises `PushFailed` where a part is not valid. `git` itself checks the branch."""
        try:
            url = urlsplit(self.url)
            is_valid = url.scheme in self.schemes and bool(url.hostname) and not (url.username or url.password)
            _ = url.port
        except ValueError:
            is_valid = False
        if not is_valid or not self.url.isprintable() or " " in self.url:
            raise PushFailed("bad_url")
        if not self.branch or self.branch.startswith("-") or not self.branch.isprintable():
            raise PushFailed("bad_branch")
        if not self.token.isprintable() or not self.user.isprintable() or not self.user:
            raise PushFailed("bad_token")


@dataclass(frozen=True)
class Pushed:
    """What was pushed: the commit's id, and how many files it has."""

    commit: str
    files: int


async def push(
    root: Path, paths: Sequence[str], target: GitTarget, *, author: str, seconds: float = PUSH_SECONDS
) -> Pushed:
    """Commit files on top of the branch, or as its first commit, and push without force. Raises `PushFailed`."""
    try:
        with tempfile.TemporaryDirectory(prefix="freepool-save-") as folder:
            async with asyncio.timeout(seconds):
                return await _Push(root, Path(folder), target, author).run(paths)
    except TimeoutError:
        raise PushFailed("timed_out") from None
    except FileNotFoundError as error:
        raise PushFailed("no_git", str(error)) from None


class _Push:
    def __init__(self, root: Path, folder: Path, target: GitTarget, author: str) -> None:
        self._root = root
        self._repository = folder / "repository.git"
        self._target = target
        self._environment = _environment(target, author, self._repository)

    async def run(self, paths: Sequence[str]) -> Pushed:
        target = self._target
        await self._git("init", "--quiet", "--bare", str(self._repository))
        await self._git("check-ref-format", "--branch", target.branch, failed="bad_branch")
        base = await self._fetch()
        if base:
            await self._git("read-tree", base)
        entries = await self._entries(paths)
        if not entries:
            raise PushFailed("nothing")
        await self._git("update-index", "-z", "--add", "--replace", "--index-info", given=b"\0".join(entries) + b"\0")
        tree = await self._git("write-tree")
        if base and tree == await self._git("rev-parse", f"{base}^{{tree}}"):
            raise PushFailed("nothing")
        parents = ("-p", base) if base else ()
        commit = await self._git("commit-tree", tree, *parents, "-F", "-", given=target.message.encode())
        await self._git("push", "--quiet", target.url, f"{commit}:refs/heads/{target.branch}")
        return Pushed(commit, len(entries))

    async def _fetch(self) -> str:
        """The commit that the branch has; empty where there is no such branch."""
        target = self._target
        found = await self._git("ls-remote", "--heads", target.url, f"refs/heads/{target.branch}")
        if not found:
            return ""
        await self._git("fetch", "--quiet", "--no-tags", "--depth=1", target.url, f"refs/heads/{target.branch}")
        return await self._git("rev-parse", "FETCH_HEAD")

    async def _entries(self, paths: Sequence[str]) -> list[bytes]:
        """Lines of the index. What Git takes as no path is left out: its own folders, and names with a line end."""
        named = [path for path in paths if _can_be_committed(path) and (self._root / path).is_file()]
        if not named:
            return []
        # Git reads a line that begins with a quotation mark as a quoted path, which may be another one.
        given = b"".join(b"./" + os.fsencode(path) + b"\n" for path in named)
        hashes = (await self._git("hash-object", "-w", "--no-filters", "--stdin-paths", given=given)).split()
        return [
            b"%s %s\t%s" % (_mode(self._root / path), one.encode(), os.fsencode(path))
            for path, one in zip(named, hashes, strict=True)
        ]

    async def _git(self, *arguments: str, given: bytes = b"", failed: str = "") -> str:
        """Run one command in the workspace. Raises `PushFailed` with the cause that its output names."""
        process = await asyncio.create_subprocess_exec(
            "git",
            *_OPTIONS,
            *arguments,
            cwd=self._root,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output, errors = await process.communicate(given)
        except asyncio.CancelledError:
            await kill_session(process)
            raise
        if process.returncode:
            said = self._without_token(errors.decode(errors="replace").strip())
            raise PushFailed(failed or cause_of(said), said)
        return output.decode().strip()

    def _without_token(self, text: str) -> str:
        return text.replace(self._target.token, "…") if self._target.token else text


_OPTIONS = (
    "-c", "credential.helper=", "-c", f"credential.helper={HELPER}",
    "-c", "core.hooksPath=/dev/null", "-c", "http.followRedirects=false", "-c", "gc.auto=0",
    "-c", "core.quotePath=false", "-c", "fetch.fsckObjects=true",
)  # fmt: skip


def _environment(target: GitTarget, author: str, repository: Path) -> Mapping[str, str]:
    """Of every git process: nothing of the user's configuration, no prompt, no protocol but the allowed ones."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "JUPYTER"))}
    certificates = {name: os.environ[name] for name in ("GIT_SSL_CAINFO",) if name in os.environ}
    name = re.sub(r"[<>\n\0]", "", author) or "freepool"
    return {
        **inherited,
        **certificates,
        "LC_ALL": "C",
        "GIT_DIR": str(repository),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_ALLOW_PROTOCOL": ":".join(target.schemes),
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": "notebook@freepool.invalid",
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": "notebook@freepool.invalid",
        "FREEPOOL_GIT_USER": target.user,
        "FREEPOOL_GIT_TOKEN": target.token,
    }


def cause_of(said: str) -> str:
    """The cause that git's output names; `failed` where it names none."""
    text = said.lower()
    return next((code for pattern, code in _CAUSES if re.search(pattern, text)), "failed")


def _can_be_committed(path: str) -> bool:
    return "\n" not in path and not any(part.lower() == ".git" for part in PurePosixPath(path).parts)


def _mode(path: Path) -> bytes:
    return b"100755" if path.stat().st_mode & stat.S_IXUSR else b"100644"
