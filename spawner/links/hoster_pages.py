"""Addresses as a browser shows them on a Git hoster's pages: of a file, a folder or a repository."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

PAGES = ("/-/blob/", "/-/tree/", "/blob/", "/tree/", "/src/branch/", "/src/tag/", "/src/commit/")
"""Between repository and ref: GitLab, GitHub and Gitee, Gitea. The longer ones first."""


def of_page(address: str) -> dict[str, str]:
    """The link's query for an address that somebody copied from their browser. Raises `ValueError` for no URL.

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
