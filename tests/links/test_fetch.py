"""What is fetched from a real Git server over TLS, what is refused, and that nothing of it runs."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spawner.instance.fetch.git import LARGEST_OUTPUT, MEMORY_KIB, environment, run_git
from spawner.instance.fetch.handlers import Fetches, fetch
from spawner.instance.fetch.link import link_of, public_address
from spawner.instance.fetch.wanted import FetchFailed, Limits, Wanted
from spawner.instance.kernels import with_safe_path
from tests.links.repositories import commit, git_over_tls, notebook
from tests.save.git_server import GitServer, git


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GitServer, str]]:
    with git_over_tls(tmp_path_factory.mktemp("git") / "server") as (server, certificate):
        yield server, certificate.read_text()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


async def refused(root: Path, wanted: Wanted, certificates: str, limits: Limits | None = None) -> str:
    with pytest.raises(FetchFailed) as failed:
        await fetch(root, wanted, certificates, limits)
    assert list(root.iterdir()) == [], "nothing is left behind"
    return failed.value.code


async def test_a_repository_is_fetched_once_and_a_users_changes_stay(served: tuple[GitServer, str], root: Path) -> None:
    server, certificates = served
    url = commit(server, "plain.git", {"a/one.ipynb": notebook("1"), "two.ipynb": notebook("2")})
    wanted = Wanted(git=url, ref="main", path="a/one.ipynb")
    assert await fetch(root, wanted, certificates) == "plain/a/one.ipynb"
    (root / "plain" / "a" / "one.ipynb").write_text("mine")
    seen = len(server.seen)
    assert await fetch(root, wanted, certificates) == "plain/a/one.ipynb"
    assert (root / "plain" / "a" / "one.ipynb").read_text() == "mine"
    assert len(server.seen) == seen
    head = git(server.folder / "plain.git", "rev-parse", "main").decode().strip()
    assert await fetch(root, Wanted(git=url, ref=head), certificates) == "plain-2"
    assert (root / "plain-2" / "two.ipynb").exists()
    assert await link_of(root, "plain/a/one.ipynb") == {"git": url, "ref": "main", "path": "a/one.ipynb"}
    (root / "new.ipynb").write_text("{}")
    assert await link_of(root, "new.ipynb") is None


async def test_hooks_filters_submodules_and_symbolic_links_of_a_repository_do_nothing(
    served: tuple[GitServer, str], root: Path
) -> None:
    server, certificates = served
    submodule = '[submodule "x"]\n path = x\n url = ext::sh -c touch% ran\n'
    files = {".gitattributes": "* filter=lfs diff=lfs merge=lfs\n", ".gitmodules": submodule, "model.bin": "version x"}
    url = commit(server, "hostile.git", files)
    work = server.folder / "hostile.git.work"
    (work / "out").symlink_to("/etc/passwd")
    git(work, "add", "out")
    git(work, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=y")
    git(work, "push", "--quiet", str(server.folder / "hostile.git"), "HEAD:main")
    hook = root.parent / "hooks"
    hook.mkdir()
    (hook / "post-checkout").write_text(f"#!/bin/sh\ntouch {root.parent}/ran\n")
    (hook / "post-checkout").chmod(0o755)
    assert await fetch(root, Wanted(git=url, path="model.bin"), certificates) == "hostile/model.bin"
    assert (root / "hostile" / "model.bin").read_text() == "version x"
    assert (root / "hostile" / "out").read_text() == "/etc/passwd", "a file that says where the link leads"
    assert not (root / "hostile" / "out").is_symlink()
    assert not (root / "hostile" / "x").exists()
    assert list((root / "hostile" / ".git").glob("hooks/*")) == []


async def test_what_cannot_be_fetched_says_why_and_leaves_nothing(served: tuple[GitServer, str], root: Path) -> None:
    server, certificates = served
    url = commit(server, "large.git", {f"{n}.txt": str(n) * 1000 for n in range(30)})
    assert await refused(root, Wanted(git=url, ref="nothing"), certificates) == "no_ref"
    assert await refused(root, Wanted(git=f"{server.url}/nothing.git"), certificates) == "not_found"
    assert await refused(root, Wanted(git=url), "") == "unreachable", "the system does not know the certificate"
    assert await refused(root, Wanted(git=url), certificates, Limits(bytes=20_000)) == "too_large"
    assert await refused(root, Wanted(git=url), certificates, Limits(files=29)) == "too_many"
    assert await refused(root, Wanted(git=url), certificates, Limits(seconds=0.001)) == "timed_out"


async def test_a_notebook_file_is_fetched_by_its_address_and_nothing_else_is(
    served: tuple[GitServer, str], root: Path
) -> None:
    server, certificates = served
    file = notebook("1").encode()
    server.answers |= {
        "/files/a%2f..%2Fb.ipynb": (200, {}, file),
        "/files/page.ipynb": (200, {"Content-Type": "text/html"}, b"<html>"),
        "/files/list.ipynb": (200, {}, b"[" * 1400),
        "/files/packed.ipynb": (200, {"Content-Encoding": "gzip"}, gzip.compress(file)),
        "/files/moved.ipynb": (302, {"Location": f"{server.url}/elsewhere/a.ipynb"}, b""),
        "/files/local.ipynb": (301, {"Location": "file:///etc/passwd"}, b""),
        "/files/large.ipynb": (200, {}, file + b" " * 2000),
        "/files/chunked.ipynb": (200, {"Transfer-Encoding": "chunked"}, b"fff\r\n" + b" " * 4095 + b"\r\n0\r\n\r\n"),
        "/elsewhere/a.ipynb": (200, {}, file),
    }
    limits = Limits(file_bytes=1500)
    for name, why in {
        "page": "not_a_notebook", "list": "not_a_notebook", "packed": "not_a_notebook", "moved": "redirected",
        "local": "redirected", "large": "too_large", "chunked": "too_large", "none": "not_found",
    }.items():  # fmt: skip
        assert await refused(root, Wanted(url=f"{server.url}/files/{name}.ipynb"), certificates, limits) == why, name
    assert not any("elsewhere" in path for path in server.seen)
    odd = Wanted(url=f"{server.url}/files/a%2f..%2Fb.ipynb")
    (root / "b.ipynb").symlink_to("/etc/hostname")
    assert await fetch(root, odd, certificates) == "b-2.ipynb"
    assert await fetch(root, odd, certificates) == "b-2.ipynb", "the same file is not there twice"
    assert (root / "b-2.ipynb").read_bytes() == file
    assert (root / "b.ipynb").is_symlink()


async def test_a_redirect_of_a_repository_is_followed_to_the_same_with_git_only(
    served: tuple[GitServer, str], root: Path
) -> None:
    server, certificates = served
    commit(server, "led.git", {"a.ipynb": notebook("1")})
    for name in ("led", "gone", "gone.git"):
        server.answers[f"/{name}/info/refs"] = (302, {"Location": f"{server.url}/led.git/info/refs"}, b"")
    assert await refused(root, Wanted(git=f"{server.url}/gone"), certificates) == "redirected"
    assert not any("led.git" in path for path in server.seen)
    assert await fetch(root, Wanted(git=f"{server.url}/led", path="a.ipynb"), certificates) == "led/a.ipynb"


@pytest.mark.parametrize(
    "fields",
    [
        {"git": "file:///etc"},
        {"git": "ext::sh -c id"},
        {"git": "http://example.org/a"},
        {"git": "--upload-pack=id"},
        {"git": "https://example.org/a", "ref": "--upload-pack=id"},
        {"git": "https://example.org/a", "path": "../x"},
        {"git": "https://example.org/a", "path": "a\nb"},
        {"git": "https://example.org/a", "url": "https://example.org/a.ipynb"},
        {},
    ],
)
def test_no_other_protocol_and_no_option_of_git_is_wanted(fields: dict[str, str]) -> None:
    with pytest.raises(FetchFailed) as failed:
        Wanted(**fields)
    assert failed.value.code == "bad_link"


async def test_the_same_link_pressed_twice_is_fetched_once(served: tuple[GitServer, str], root: Path) -> None:
    server, certificates = served
    wanted = Wanted(git=commit(server, "twice.git", {"a.txt": "1"}))  # without a branch, too, it is found again
    fetches = Fetches(root)
    said = await asyncio.gather(*(fetches.state_of(wanted, certificates, seconds=20) for _ in range(2)))
    assert said == [{"state": "done", "path": "twice"}] * 2
    assert await fetch(root, wanted, certificates) == "twice"
    assert [path.name for path in root.iterdir()] == ["twice"]


async def test_what_git_says_and_how_much_memory_it_takes_have_limits(tmp_path: Path) -> None:
    """As with a repository of a few trees that name each other: its list of files would fill the notebook's memory."""
    long = f"alias.long=!head -c {LARGEST_OUTPUT + 1} /dev/zero"
    with pytest.raises(FetchFailed) as failed:
        await run_git(tmp_path, "-c", long, "long")
    assert failed.value.code == "too_many"
    said = "alias.said=!head -c 2000000 /dev/zero | tr '\\0' x >&2; echo; echo 'fatal: not found' >&2; exit 1"
    with pytest.raises(FetchFailed) as failed:
        await run_git(tmp_path, "-c", said, "said")
    assert (failed.value.code, failed.value.details[-9:]) == ("not_found", "not found")
    assert await run_git(tmp_path, "-c", "alias.room=!ulimit -d", "room") == str(MEMORY_KIB)


async def test_a_list_of_files_without_an_end_ends_the_fetch(served: tuple[GitServer, str], root: Path) -> None:
    server, certificates = served
    url = server.make("bomb.git")
    bare = server.folder / "bomb.git"

    def written(*arguments: str, given: str) -> str:
        asked = ["git", "-C", str(bare), *arguments]
        return subprocess.run(asked, input=given, check=True, capture_output=True, text=True).stdout.strip()

    one, mode = written("hash-object", "-w", "--stdin", given="x"), "100644 blob"
    for _ in range(9):
        one = written("mktree", given="".join(f"{mode} {one}\t{n}\n" for n in range(10)))
        mode = "040000 tree"
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    head = written(*author, "commit-tree", "-m", "x", one, given="")
    git(bare, "update-ref", "refs/heads/main", head)
    git(bare, "symbolic-ref", "HEAD", "refs/heads/main")
    assert await refused(root, Wanted(git=url), certificates, Limits(seconds=60)) == "too_many"


def test_git_finds_no_passwords_of_the_user() -> None:
    """Those of ~/.netrc would go to whatever server a link names."""
    assert environment({"HOME": "/home/ada", "PATH": "/bin"})["HOME"] == os.devnull


async def test_a_repository_with_the_name_of_a_package_is_not_imported_in_its_place(
    served: tuple[GitServer, str], root: Path
) -> None:
    server, certificates = served
    url = commit(server, "numpy.git", {"__init__.py": "print('hostile')", "a.ipynb": notebook("1")})
    wanted = Wanted(git=url, path="a.ipynb")
    for _ in range(2):
        assert await fetch(root, wanted, certificates) == "numpy-2/a.ipynb"
    assert [path.name for path in root.iterdir()] == ["numpy-2"]
    imported = subprocess.run(
        [sys.executable, "-c", "import numpy"], check=False, cwd=root, capture_output=True, text=True
    )
    assert "hostile" not in imported.stdout


def test_a_shared_link_names_no_user_and_no_password() -> None:
    assert public_address("https://ada:secret@git.example.org/a/b.git") == "https://git.example.org/a/b.git"
    assert public_address("git@git.example.org:a/b.git") == "https://git.example.org/a/b.git"
    assert public_address("/srv/a.git") == ""


def test_a_module_of_the_kernels_name_in_the_working_folder_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "ipykernel_launcher.py").write_text("print('hostile')")
    (tmp_path / "runpy.py").write_text("print('hostile')")
    for options in ([], ["-Xfrozen_modules=off"]):
        asked = [sys.executable, *options, "-m", "ipykernel_launcher", "--version"]
        plain = subprocess.run(asked, check=False, cwd=tmp_path, capture_output=True, text=True)
        assert "hostile" in plain.stdout, "else this test shows nothing"
        safe = subprocess.run(with_safe_path(asked), check=False, cwd=tmp_path, capture_output=True, text=True)
        assert "hostile" not in safe.stdout
    assert with_safe_path(["ir", "--slave"]) == ["ir", "--slave"]
