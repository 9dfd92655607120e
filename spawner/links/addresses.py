"""Addresses that people already have: of a file's page at a Git hoster, and links of nbgitpuller."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

PAGES = ("/-/blob/", "/-/tree/", "/blob/", "/tree/", "/src/branch/", "/src/tag/", "/src/commit/")
"""Between repository and ref: GitLab, GitHub and Gitee, Gitea. The longer ones first."""


def of_page(address: str) -> dict[str, str]:
    """The link's query for an address that somebody copied from their browser: of a file, a folder or a repository.

    A ref with a slash in it cannot be told from a folder: the first part counts.
    """
    url = urlsplit(address.strip())
    root, path = f"{url.scheme}://{url.netloc}", unquote(url.path)
    for mark in PAGES:
        repository, found, rest = path.partition(mark)
        if found and repository.count("/") >= 2:
            ref, _, file = rest.strip("/").partition("/")
            return {"git": root + repository, "ref": ref, "path": file}
    if path.endswith(".ipynb"):
        return {"url": f"{root}{url.path}"}
    return {"git": f"{root}{url.path}".rstrip("/")}


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
