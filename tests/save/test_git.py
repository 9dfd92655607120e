"""A push to a real Git server: what arrives, what is refused with which cause, and that the token stays in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawner.instance.save.git import GitTarget, PushFailed, cause_of, push
from tests.save.git_server import GitServer, git, serving_git

USER, TOKEN = "oauth2", "glpat-canary-7f3a%s"
"""With a character that a format string would take for its own."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    folder = tmp_path / "repositories"
    folder.mkdir()
    with serving_git(folder, user=USER, token=TOKEN) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    workspace = tmp_path / "workspace"
    (workspace / "data").mkdir(parents=True)
    (workspace / "a.ipynb").write_text("{}")
    (workspace / "data" / "结果.csv").write_text("1,2\n")
    (workspace / "run.sh").write_text("#!/bin/sh\n")
    (workspace / "run.sh").chmod(0o755)
    return workspace


PATHS = ("a.ipynb", "data/结果.csv", "run.sh")


def target(url: str, branch: str = "saved", **changes: object) -> GitTarget:
    fields = {"url": url, "branch": branch, "token": TOKEN, "schemes": ("http", "https")} | changes
    return GitTarget(**fields)  # type: ignore[arg-type]


async def test_the_files_arrive_as_one_commit_and_the_next_push_adds_one(server: GitServer, root: Path) -> None:
    url = server.make("work.git")
    done = await push(root, PATHS, target(url), author="ada")
    assert done.files == 3
    assert server.files("work.git", "saved") == {path: (root / path).read_bytes() for path in PATHS}
    assert git(server.folder / "work.git", "ls-tree", "saved", "run.sh").startswith(b"100755")

    (root / "a.ipynb").write_text('{"cells": []}')
    again = await push(root, ["a.ipynb"], target(url), author="ada")
    parent = git(server.folder / "work.git", "rev-parse", "saved^").decode().strip()
    assert (again.files, parent) == (1, done.commit)
    assert set(server.files("work.git", "saved")) == set(PATHS), "files of earlier pushes stay"
    with pytest.raises(PushFailed) as nothing:
        await push(root, ["a.ipynb"], target(url), author="ada")
    assert nothing.value.code == "nothing"


async def test_files_of_a_cloned_repository_are_pushed_without_its_git_folder(server: GitServer, root: Path) -> None:
    clone = root / "clone"
    clone.mkdir()
    git(clone, "init", "--quiet")
    (clone / "code.py").write_text("x = 1\n")
    done = await push(root, ["clone/.git/config", "clone/code.py"], target(server.make("n.git")), author="ada")
    assert done.files == 1
    assert server.files("n.git", "saved") == {"clone/code.py": b"x = 1\n"}


async def test_a_name_that_git_would_read_as_a_quoted_path_brings_no_other_file(server: GitServer, root: Path) -> None:
    """Such as from an archive of a stranger's: `"\\056\\056/x"` would be `../x`, outside of the workspace."""
    (root.parent / "secret").write_text("not for the repository")
    names = ['"\\056\\056/secret"', '"plain.txt"', "back\\slash"]
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("mine")
    done = await push(root, names, target(server.make("q.git")), author="ada")
    assert done.files == 3
    assert server.files("q.git", "saved") == dict.fromkeys(names, b"mine")


async def test_the_token_is_in_no_url_argument_or_file(
    server: GitServer, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `git` in front of the real one writes down its arguments, and what lies on the disk when it ends."""
    real, log, scratch = os.path.realpath("/usr/bin/git"), tmp_path / "log", tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "git"
    shim.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\n{real} "$@"; code=$?\n'
        f"grep -rlF '{TOKEN}' {scratch} {root} >> {log}.found\nexit $code\n"
    )
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    await push(root, PATHS, target(server.make("secret.git")), author="ada")
    assert "push" in log.read_text()
    assert TOKEN not in log.read_text()
    assert (tmp_path / "log.found").read_text() == ""
    assert not any(TOKEN in path for path in server.seen)
    assert not list(scratch.iterdir()), "the temporary repository is gone"


async def test_refusals_say_their_cause(server: GitServer, root: Path) -> None:
    url = server.make("work.git")
    for wrong, code in {
        target(url, token="wrong"): "auth",
        target(f"{server.url}/none.git"): "not_found",
        target("http://127.0.0.1:9/x.git"): "unreachable",
        target(url, branch="two..dots"): "bad_branch",
    }.items():
        with pytest.raises(PushFailed) as refused:
            await push(root, PATHS, wrong, author="ada")
        assert refused.value.code == code, refused.value.details
        assert TOKEN not in refused.value.details

    hook = server.folder / "work.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushFailed) as refused:
        await push(root, PATHS, target(url), author="ada")
    assert refused.value.code == "rejected"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"url": "http://example.org/x.git", "schemes": ("https",)}, "bad_url"),
        ({"url": "https://ada:secret@example.org/x.git"}, "bad_url"),
        ({"url": "ext::sh -c id"}, "bad_url"),
        ({"url": "file:///etc"}, "bad_url"),
        ({"url": "https://[bad/x.git"}, "bad_url"),
        ({"branch": "--upload-pack=id"}, "bad_branch"),
        ({"branch": ""}, "bad_branch"),
        ({"token": "a\nhost=evil"}, "bad_token"),
        ({"user": "a\npassword=x"}, "bad_token"),
    ],
)
def test_what_git_could_misread_is_refused_before_it_runs(changes: dict[str, object], code: str) -> None:
    with pytest.raises(PushFailed) as refused:
        target(**({"url": "https://example.org/x.git"} | changes))  # type: ignore[arg-type]
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("fatal: unable to access 'http://127.0.0.1:40123/x/': The requested URL returned error: 403", "auth"),
        ("error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413", "too_large"),
        ("fatal: unable to access 'https://h/404/': Failed to connect to h port 40113", "unreachable"),
        (
            " ! [remote rejected] 4034134 -> saved (pre-receive hook declined)\nTo http://127.0.0.1:40413/x.git",
            "rejected",
        ),
    ],
)
def test_a_number_in_an_address_or_a_commit_is_no_status(said: str, code: str) -> None:
    assert cause_of(said) == code


def test_a_branch_that_has_moved_is_named_as_the_cause() -> None:
    said = " ! [rejected]        abc -> saved (fetch first)\nerror: failed to push some refs to 'http://127.0.0.1/x'"
    assert cause_of(said) == "moved"
