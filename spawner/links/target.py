"""What an open link names: an example, a file in a Git repository, or a notebook file at an address.

Nothing here does I/O. An address from outside is https, with a host's name, and without a user, a query or a fragment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlencode, urlsplit

from spawner.errors import BadOption

FIELDS = ("example", "git", "ref", "path", "url")
LONGEST_ADDRESS, LONGEST_REF, LONGEST_PATH = 500, 200, 500
NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""A host's name in ASCII. Its last part begins with a letter, so no way to write an IPv4 address is one."""
BAD_IN_REF = re.compile(r"[\s~^:?*\[\\\x00-\x20\x7f]|\.\.|@\{|//")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
EXAMPLE = re.compile(r"[a-z0-9-]{1,31}")
CHECK_LINK = "Check the link, or ask its author for a new one."
NOT_ALLOWED = "This link's address is not allowed. It must begin with https:// and name a public server."


class Kind(StrEnum):
    """What a link opens."""

    EXAMPLE = "example"
    GIT = "git"
    FILE = "file"


@dataclass(frozen=True)
class Target:
    """`ref` is a branch, tag or commit; empty: the repository's default branch. `path` may be empty: the repository."""

    kind: Kind
    example: str = ""
    git: str = ""
    ref: str = ""
    path: str = ""
    url: str = ""

    @property
    def query(self) -> str:
        """The canonical query of the link."""
        return urlencode(
            {name: getattr(self, name) for name in FIELDS if getattr(self, name)}, quote_via=quote, safe="/"
        )

    @property
    def address(self) -> str:
        """Where it is fetched from; empty for an example."""
        return self.git or self.url

    @property
    def host(self) -> str:
        """Host of the address, with a port that is not the usual one."""
        return urlsplit(self.address).netloc

    @property
    def repository(self) -> str:
        """`OWNER/NAME`, as the address has it."""
        return unquote(urlsplit(self.git).path.strip("/").removesuffix(".git"))

    @property
    def file(self) -> str:
        """The path in the repository, or the file's name."""
        return self.path if self.kind is Kind.GIT else PurePosixPath(unquote(urlsplit(self.url).path)).name


def read_target(query: Mapping[str, str], hosts: tuple[str, ...] = ()) -> Target | None:
    """The target of a link's query; None where it names none. Other names in it are ignored.

    `hosts`: those (`HOST` or `HOST:PORT`) that the operator allows beside public names. Raises `BadOption`.
    """
    given = {name: query[name] for name in FIELDS if query.get(name)}
    kinds = [name for name in ("example", "git", "url") if name in given]
    if not kinds:
        return None
    if len(kinds) > 1:
        raise BadOption("This link names more than one thing to open.", next_step=CHECK_LINK)
    if "example" in given:
        if not EXAMPLE.fullmatch(given["example"]):
            raise BadOption("This link's example does not exist.", next_step=CHECK_LINK)
        return Target(Kind.EXAMPLE, example=given["example"])
    if "url" in given:
        url = check_address(given["url"], hosts)
        if not unquote(urlsplit(url).path).endswith(".ipynb"):
            raise BadOption("This link does not lead to a notebook file (.ipynb).", next_step=CHECK_LINK)
        check_path(unquote(urlsplit(url).path).lstrip("/"))
        return Target(Kind.FILE, url=url)
    git = check_address(given["git"], hosts)
    if urlsplit(git).path.strip("/") == "":
        raise BadOption("This link does not lead to a repository.", next_step=CHECK_LINK)
    return Target(Kind.GIT, git=git, ref=check_ref(given.get("ref", "")), path=check_path(given.get("path", "")))


def check_address(address: str, hosts: tuple[str, ...] = ()) -> str:
    """The address with its host in small letters. Raises `BadOption`."""
    if len(address) > LONGEST_ADDRESS or not address.isascii() or not address.isprintable() or " " in address:
        raise not_allowed()
    if set(address) & set("\\<>\"'`{}|^") or not address.startswith("https://"):
        raise not_allowed()
    try:
        url = urlsplit(address)
        host, port = url.hostname or "", url.port
    except ValueError:
        raise not_allowed() from None
    if url.username is not None or url.password is not None or "?" in address or "#" in address or "@" in url.netloc:
        raise not_allowed()
    place = host if port in (None, 443) else f"{host}:{port}"
    is_listed = place in hosts
    if not is_listed and (not NAME.fullmatch(host) or port not in (None, 443)):
        raise not_allowed()
    path = url.path
    if not all(character.isprintable() for character in unquote(path)) or ".." in unquote(path).split("/"):
        raise not_allowed()
    return f"https://{place}{path.rstrip('/')}"


def not_allowed() -> BadOption:
    """The refusal of an address."""
    return BadOption(NOT_ALLOWED, next_step=CHECK_LINK)


def check_ref(ref: str) -> str:
    """A name that Git takes for a branch, a tag or a commit. Raises `BadOption`."""
    parts = ref.split("/")
    is_bad = (
        len(ref) > LONGEST_REF
        or not ref.isprintable()
        or BAD_IN_REF.search(ref)
        or ref.startswith(("-", "/", "@"))
        or ref.endswith(("/", "."))
        or any(part.startswith(".") or part.endswith(".lock") for part in parts)
    )
    if is_bad:
        raise BadOption("This link's branch, tag or commit has a name that Git does not allow.", next_step=CHECK_LINK)
    return ref


def check_path(path: str) -> str:
    """A relative path that stays in its repository. Raises `BadOption`."""
    parts = path.split("/")
    is_bad = (
        len(path) > LONGEST_PATH
        or not path.isprintable()
        or "\\" in path
        or (path != "" and any(part in ("", ".", "..") or part.lower().rstrip(" .") == ".git" for part in parts))
    )
    if is_bad:
        raise BadOption("This link's file has a path that is not allowed.", next_step=CHECK_LINK)
    return path
