"""Links of nbgitpuller, as open links."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote


def of_git_pull(query: Mapping[str, str]) -> dict[str, str]:
    """The link's query for one of nbgitpuller's, which names the repository's folder in `urlpath`."""
    repository = query.get("repo", "").rstrip("/")
    folder = query.get("targetpath") or repository.rsplit("/", 1)[-1].removesuffix(".git")
    path = unquote(query.get("urlpath", "") or query.get("subPath", "")).partition("?")[0].strip("/")
    for mark in ("lab/tree/", "tree/", "notebooks/", "edit/", "lab/", "retro/notebooks/", "retro/tree/"):
        if path.startswith(mark):
            path = path.removeprefix(mark)
            break
    path = path.removeprefix("lab").strip("/") if path == "lab" else path
    if path == folder or path.startswith(f"{folder}/"):
        path = path[len(folder) :].strip("/")
    found = {"git": repository, "ref": query.get("branch", ""), "path": path}
    return {name: value for name, value in found.items() if value}
