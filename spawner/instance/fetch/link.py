"""The link of a file in a Git repository with a remote that others can reach."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from spawner.instance.fetch.git import run_git
from spawner.instance.fetch.wanted import FetchFailed


async def link_of(root: Path, path: str) -> dict[str, str] | None:
    """The query of a link to a file of a Git repository that has a remote by https; None for any other file."""
    base = root.resolve()  # noqa: ASYNC240  (a few system calls)
    place = (base / path.lstrip("/")).resolve()
    if not place.exists() or not place.is_relative_to(base):
        return None
    folder = place if place.is_dir() else place.parent
    try:
        top = await run_git(folder, "rev-parse", "--show-toplevel")
        remote = await run_git(folder, "config", "--get", "remote.origin.url")
        branch = await run_git(folder, "rev-parse", "--abbrev-ref", "HEAD")
        ref = await run_git(folder, "rev-parse", "HEAD") if branch == "HEAD" else branch
        await run_git(folder, "ls-files", "--error-unmatch", "--", str(place))
    except (FetchFailed, OSError):
        return None
    if not Path(top).is_relative_to(base) or not (address := public_address(remote)):
        return None
    inside = "" if place == Path(top) else place.relative_to(top).as_posix()
    return {"git": address, "ref": ref} | ({"path": inside} if inside else {})


def public_address(remote: str) -> str:
    """A remote's address as others reach it, without what identifies its user. Empty where it has none."""
    if remote.startswith("git@") and ":" in remote:
        host, _, path = remote.removeprefix("git@").partition(":")
        remote = f"https://{host}/{path}"
    try:
        url = urlsplit(remote)
        netloc = url.hostname or ""
        netloc += f":{url.port}" if url.port not in (None, 443) else ""
    except ValueError:
        return ""
    return urlunsplit(("https", netloc, url.path, "", "")) if url.scheme == "https" and netloc else ""
