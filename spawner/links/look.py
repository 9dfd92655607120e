"""Reads the commit that an open link names now, or the size of its notebook file, without fetching it.

The addresses are strangers': only public ones are connected to, nothing is redirected, and time and bytes are limited.
No proxy is used, because a proxy would resolve the name by itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from spawner.links.target import COMMIT, Kind, Target

SECONDS = 5.0
LONGEST_ANSWER = 64 * 1024
"""Bytes of the answer to `ls-refs`, which is asked for a few refs only."""
REF_LINE = re.compile(r"([0-9a-f]{40,64}) (\S+)((?: \S+)*)")
PEELED = " peeled:"
FLUSH, DELIMITER = b"0000", b"0001"


@dataclass(frozen=True)
class Seen:
    """`commit`: the whole hash. `size`: in bytes. None where the server does not say."""

    commit: str | None = None
    size: int | None = None


UNKNOWN = Seen()


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only. What is resolved is what is connected to."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As aiohttp's. Raises `OSError` for a name with an address that is not public."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(one["host"]) for one in found):
            raise OSError(f"{host} has an address that is not public")
        return found

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, also behind NAT64 or IPv4-mapped."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


async def look(
    target: Target, *, is_allowed: bool = False, certificates: str = "", resolver: AbstractResolver | None = None
) -> Seen:
    """What the server of a link says. `UNKNOWN` where it does not answer in time or in the form that is expected.

    `is_allowed`: the operator has listed the server, so its address may be private. `certificates`: its own, as PEM, in
    place of the system's. `resolver`: for tests.
    """
    if target.kind is Kind.EXAMPLE:
        return UNKNOWN
    if target.kind is Kind.GIT and COMMIT.fullmatch(target.ref):
        return Seen(commit=target.ref)
    context = ssl.create_default_context(cadata=certificates or None)
    found = resolver or ThreadedResolver()
    connector = aiohttp.TCPConnector(
        ssl=context, resolver=found if is_allowed else PublicResolver(found), use_dns_cache=False, limit=1
    )
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
            return await (_commit(session, target) if target.kind is Kind.GIT else _size(session, target))
    except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        return UNKNOWN


async def _size(session: aiohttp.ClientSession, target: Target) -> Seen:
    headers = {"Accept-Encoding": "identity"}
    async with session.head(target.url, allow_redirects=False, headers=headers) as answer:
        length = answer.headers.get("Content-Length", "")
        return Seen(size=int(length)) if answer.status == 200 and length.isdecimal() else UNKNOWN


async def _commit(session: aiohttp.ClientSession, target: Target) -> Seen:
    """By `ls-refs` of Git's protocol, version 2 (gitprotocol-v2(5)): one request, which answers for these refs only."""
    async with session.post(
        f"{target.git}/git-upload-pack",
        data=request_of(target.ref),
        allow_redirects=False,
        headers={"Git-Protocol": "version=2", "Content-Type": "application/x-git-upload-pack-request"},
    ) as answer:
        if answer.status != 200 or answer.content_type != "application/x-git-upload-pack-result":
            return UNKNOWN
        body = await answer.content.read(LONGEST_ANSWER)
    return Seen(commit=commit_in(body, target.ref))


def _packet(line: str) -> bytes:
    return f"{len(line) + 5:04x}{line}\n".encode()


def _names(ref: str) -> tuple[str, ...]:
    """The refs that a name may mean, in the order of `git fetch`."""
    return (ref, f"refs/tags/{ref}", f"refs/heads/{ref}") if ref else ("HEAD",)


def request_of(ref: str) -> bytes:
    """The body of `ls-refs` for a branch, a tag, or the default branch."""
    wanted = b"".join(_packet(f"ref-prefix {name}") for name in _names(ref))
    return _packet("command=ls-refs") + DELIMITER + _packet("peel") + wanted + FLUSH


def commit_in(body: bytes, ref: str) -> str | None:
    """The commit of a ref in the answer to `request_of`; of an annotated tag that of its commit."""
    found: dict[str, str] = {}
    while len(body) >= 4:
        length = int(body[:4], 16)
        if length < 4:
            break
        match = REF_LINE.fullmatch(body[4:length].decode(errors="replace").rstrip("\n"))
        if match:
            peeled = match[3].partition(PEELED)[2].partition(" ")[0]
            found[match[2]] = peeled or match[1]
        body = body[length:]
    commit = next((found[name] for name in _names(ref) if name in found), None)
    return commit if commit is not None and COMMIT.fullmatch(commit) else None
