"""Repositories on a real Git server with TLS on loopback, as authors of links have them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.browser.tls import make_certificate
from tests.save.git_server import GitServer, git, serving_git


@contextmanager
def git_over_tls(folder: Path) -> Iterator[tuple[GitServer, Path]]:
    """The server, and the file with its certificate."""
    (folder / "repositories").mkdir(parents=True)
    tls = make_certificate(folder, "git.test")
    with serving_git(folder / "repositories", tls=tls) as server:
        trusted = folder / "trusted.pem"
        trusted.write_text(
            (folder / "certificate.pem").read_text().partition("KEY-----\n")[2].partition("KEY-----\n")[2]
        )
        yield server, trusted


def notebook(*sources: str) -> str:
    """A notebook file with these cells."""
    cells: list[dict[str, object]] = [
        {"id": f"c{n}", "cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
        for n, source in enumerate(sources)
    ]
    spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5})


def commit(server: GitServer, name: str, files: Mapping[str, str]) -> str:
    """A new repository with one commit on `main`; its URL."""
    url = server.make(name)
    work = server.folder / f"{name}.work"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    for path, text in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(text)
    git(work, "add", "--all")
    git(work, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=x")
    git(work, "push", "--quiet", str(server.folder / name), "main")
    git(server.folder / name, "symbolic-ref", "HEAD", "refs/heads/main")
    return url
