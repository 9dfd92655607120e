"""What is asked of a link's server before anything is fetched, and which addresses are never connected to."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from spawner.link_settings import LinkSettings
from spawner.links.look import UNKNOWN, PublicResolver, Seen, commit_in, is_public, look, request_of
from spawner.links.target import Kind, Target
from tests.links.repositories import commit, notebook
from tests.save.git_server import GitServer, git


class Names(AbstractResolver):
    """Gives every name one address."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The address."""
        kind = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        return [
            ResolveResult(
                hostname=host, host=self.address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        """Nothing."""


@pytest.fixture
def certificate(git_server: tuple[GitServer, Path]) -> str:
    """PEM of the Git server, without its key."""
    place = urlsplit(git_server[0].url).netloc
    return LinkSettings(also_allow=(place,), certificates=git_server[1]).certificates_for(place)


async def test_the_commit_of_a_branch_a_tag_and_the_default_branch(
    git_server: tuple[GitServer, Path], certificate: str
) -> None:
    server, _ = git_server
    url = commit(server, "look.git", {"first.ipynb": notebook("1")})
    folder = server.folder / "look.git"
    tip = git(folder, "rev-parse", "main").decode().strip()
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "tag", "-a", "v1", "-m", "first", "main")
    before = len(server.seen)
    for ref in ("", "main", "v1", tip):
        assert await look(Target(Kind.GIT, git=url, ref=ref), is_allowed=True, certificates=certificate) == Seen(tip)
    gone = Target(Kind.GIT, git=url, ref="gone")
    assert await look(gone, is_allowed=True, certificates=certificate) == UNKNOWN
    assert server.seen[before:] == ["/look.git/git-upload-pack"] * 4, "a whole commit needs no request"


async def test_no_redirect_is_followed_and_only_a_plain_size_is_believed(
    git_server: tuple[GitServer, Path], certificate: str
) -> None:
    server, _ = git_server
    leads = {"Location": f"{server.url}/look-elsewhere/a.ipynb"}
    server.answers |= {
        "/look/a.ipynb": (200, {}, b"{}"),
        "/look/moved.ipynb": (302, leads, b""),
        "/look/large.ipynb": (200, {"Content-Length": "9" * 4000}, b""),
        "/look/signed.ipynb": (200, {"Content-Length": "-5"}, b""),
        "/look/moved/git-upload-pack": (307, leads, b""),
        "/look/page/git-upload-pack": (200, {"Content-Type": "text/html"}, b"0000"),
        "/look-elsewhere/a.ipynb": (200, {}, b"{}"),
    }
    begins = len(server.seen)

    async def seen_of(target: Target) -> Seen:
        return await look(target, is_allowed=True, certificates=certificate)

    assert await seen_of(Target(Kind.FILE, url=f"{server.url}/look/a.ipynb")) == Seen(size=2)
    for name in ("moved", "large", "signed", "none"):
        assert await seen_of(Target(Kind.FILE, url=f"{server.url}/look/{name}.ipynb")) == UNKNOWN
    for name in ("moved", "page"):
        assert await seen_of(Target(Kind.GIT, git=f"{server.url}/look/{name}")) == UNKNOWN
    asked = server.seen[begins:]
    assert len(asked) == 7
    assert not any("elsewhere" in path for path in asked)


async def test_a_name_with_a_private_address_is_not_connected_to(
    git_server: tuple[GitServer, Path], certificate: str
) -> None:
    """Its name is not in the server's certificate, so what arrives there without the rule is a connection."""
    server, _ = git_server
    port = server.url.rpartition(":")[2]
    url = f"https://git.example.org:{port}/look.git"
    with pytest.raises(OSError, match="not public"):
        await PublicResolver(Names("127.0.0.1")).resolve("git.example.org")
    assert await look(Target(Kind.GIT, git=url), certificates=certificate, resolver=Names("127.0.0.1")) == UNKNOWN
    assert await look(Target(Kind.FILE, url=f"{url}/a.ipynb"), resolver=Names("::ffff:127.0.0.1")) == UNKNOWN


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


def test_a_request_names_the_refs_that_a_name_may_mean() -> None:
    assert request_of("").endswith(b"0014ref-prefix HEAD\n0000")
    assert b"ref-prefix refs/heads/main\n" in request_of("main")


@pytest.mark.parametrize("body", [b"", b"zzzz", b"0005", b"ffff", b"0008ERR\n", b"0000", bytes(100)])
async def test_an_answer_in_another_form_says_nothing(body: bytes) -> None:
    try:
        found = commit_in(body, "main")
    except ValueError:
        found = None
    assert found is None
