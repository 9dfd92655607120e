"""What is asked of the two hubs: which files a repository has, and their contents.

Their libraries are in images, not in the platform's environment, and fill one user's cache. These calls are as in
modelscope-hub 0.5 (`_legacy_api.py`) and huggingface_hub 2.4 (`hf_api.py`), and so are the variables:
MODELSCOPE_ENDPOINT, HF_ENDPOINT (such as a mirror), MODELSCOPE_API_TOKEN, HF_TOKEN (for what is not public).
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import aiohttp

from spawner.catalog import Model, Source
from spawner.errors import SetupError

ENDPOINTS = {
    Source.MODELSCOPE: ("MODELSCOPE_ENDPOINT", "https://modelscope.cn"),
    Source.HUGGINGFACE: ("HF_ENDPOINT", "https://huggingface.co"),
}
TOKENS = {Source.MODELSCOPE: "MODELSCOPE_API_TOKEN", Source.HUGGINGFACE: "HF_TOKEN"}
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
MOST_FILES = 10_000
LISTED_AT_MOST = 3000
"""ModelScope's list of files ends here without saying so."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository. `sha256` and `git` (git's SHA-1) are None where the hub does not tell them."""

    path: str
    size: int
    sha256: str | None
    git: str | None
    url: str


@dataclass(frozen=True)
class Listing:
    """A revision of a repository. `commit`: 40 hexadecimal digits."""

    commit: str
    files: tuple[RemoteFile, ...]

    def only(self, patterns: tuple[str, ...]) -> tuple[RemoteFile, ...]:
        """The files that one of the patterns matches, as both hubs' libraries match them."""
        return tuple(file for file in self.files if any(fnmatch.fnmatch(file.path, one) for one in patterns))


@dataclass(frozen=True)
class Hub:
    """One hub. `token` goes to its own address only."""

    source: Source
    endpoint: str
    session: aiohttp.ClientSession
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, source: Source, session: aiohttp.ClientSession, environment: Mapping[str, str]) -> Hub:
        """The hub that the environment names, else the public one."""
        variable, public = ENDPOINTS[source]
        endpoint = environment.get(variable) or public
        return cls(source, endpoint.rstrip("/"), session, environment.get(TOKENS[source]))

    async def listing(self, model: Model) -> Listing:
        """The files of the model's revision. Raises `SetupError`."""
        try:
            if self.source is Source.MODELSCOPE:
                return await self._modelscope(model)
            return await self._huggingface(model)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SetupError(
                "{endpoint} does not answer: {why}.",
                next_step="Check the network and the proxy's variables, or name a mirror with {variable}.",
                endpoint=self.endpoint,
                why=str(error) or type(error).__name__,
                variable=ENDPOINTS[self.source][0],
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SetupError(
                "The answer of {endpoint} about {repository} is not understood: {why}.",
                next_step="Check that it is a hub of the kind {source}.",
                endpoint=self.endpoint,
                repository=model.repository,
                source=str(self.source),
                why=f"{type(error).__name__}: {error}",
            ) from None

    async def _modelscope(self, model: Model) -> Listing:
        base = f"{self.endpoint}/api/v1/models/{model.repository}/repo"
        asked = f"?Revision={quote(model.wanted_revision)}"
        answer, _ = await self._json(f"{base}/files{asked}&Recursive=True", model)
        found = answer["Data"]
        files = tuple(
            RemoteFile(
                path=_inside(one["Path"]),
                size=int(one["Size"]),
                sha256=one.get("Sha256") or None,
                git=None,
                url=f"{base}{asked}&FilePath={quote(one['Path'], safe='')}",
            )
            for one in (found["Files"] if isinstance(found, dict) else found)
            if one.get("Type") != "tree"
        )
        if len(files) >= LISTED_AT_MOST:
            raise ValueError(f"it lists no more than {LISTED_AT_MOST} files")
        # ModelScope's caches are by the name of the revision, so the hub's own commit is not needed.
        contents = "\n".join(sorted(f"{file.path} {file.size} {file.sha256}" for file in files))
        return Listing(hashlib.sha1(contents.encode(), usedforsecurity=False).hexdigest(), files)

    async def _huggingface(self, model: Model) -> Listing:
        base = f"{self.endpoint}/api/models/{model.repository}"
        about, _ = await self._json(f"{base}/revision/{quote(model.wanted_revision)}", model)
        commit = str(about["sha"])
        if len(commit) != 40 or not commit.isalnum():
            raise ValueError("no commit")
        files: list[RemoteFile] = []
        following: str | None = f"{base}/tree/{commit}?recursive=true"
        while following and len(files) <= MOST_FILES:
            page, following = await self._json(following, model)
            for one in page:
                if one["type"] == "file":
                    large = one.get("lfs")
                    files.append(
                        RemoteFile(
                            path=_inside(one["path"]),
                            size=int(one["size"]),
                            sha256=large["oid"] if large else None,
                            git=None if large else one["oid"],
                            url=f"{self.endpoint}/{model.repository}/resolve/{commit}/{quote(one['path'])}",
                        )
                    )
        return Listing(commit, tuple(files))

    async def _json(self, url: str, model: Model) -> tuple[Any, str | None]:
        """The answer, and the address of the next page."""
        is_own = url.startswith(f"{self.endpoint}/")  # the next page's address is the hub's word
        headers, cookies = (self._headers(), self._cookies()) if is_own else (None, None)
        async with self.session.get(url, headers=headers, cookies=cookies) as answer:
            if answer.status in (401, 403, 404):
                raise SetupError(
                    "{endpoint} has no {repository} with the revision {revision}, or not for all (HTTP {status}).",
                    next_step="Check both names in the catalog; for a model that is not public, set {token}.",
                    endpoint=self.endpoint,
                    repository=model.repository,
                    revision=model.wanted_revision,
                    status=answer.status,
                    token=TOKENS[self.source],
                )
            answer.raise_for_status()
            following = answer.links.get("next")
            return await answer.json(content_type=None), str(following["url"]) if following else None

    async def content(self, file: RemoteFile, start: int) -> AsyncIterator[tuple[int, bytes]]:
        """Blocks of a file with their offsets, from `start` or, where the hub does not resume, from 0.

        Raises `aiohttp.ClientError` and `TimeoutError` where the transfer breaks.
        """
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        async with self.session.get(file.url, headers=headers, cookies=self._cookies()) as answer:
            answer.raise_for_status()
            offset = start if answer.headers.get("Content-Range", "").startswith(f"bytes {start}-") else 0
            async for block in answer.content.iter_chunked(1024 * 1024):
                yield offset, block
                offset += len(block)

    def _headers(self) -> dict[str, str]:
        is_bearer = self.token and self.source is Source.HUGGINGFACE
        return {"User-Agent": "freepool", **({"Authorization": f"Bearer {self.token}"} if is_bearer else {})}

    def _cookies(self) -> dict[str, str] | None:
        return {"m_session_id": self.token} if self.token and self.source is Source.MODELSCOPE else None


def _inside(path: str) -> str:
    """A path that stays inside the folder that it is put into. Raises `ValueError`."""
    parts = PurePosixPath(path).parts
    if not path.isprintable() or path.startswith("/") or "\\" in path or ".." in parts or not parts:
        raise ValueError(f"{path!r} is not a path inside a repository")
    return str(PurePosixPath(path))
