"""What a login says about a class, and whether an account that is new here may come in. Runs at each login by OAuth."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

from spawner.client_address import client_address
from spawner.hub.invitation_cookie import drop_code, kept_code
from spawner.hub.invitation_texts import refusal
from spawner.hub.login.claims import find_claim
from spawner.hub.login.pages import Heading, LoginRefused
from spawner.ledger import Ledger
from spawner.ledger.people import newcomers, people, trust
from spawner.ledger.people.invitations import hash_of
from spawner.ledger.people.newcomers import Newcomer, Refused
from spawner.ledger.people.rows import Identity, LoginFacts
from spawner.people_settings import PeopleSettings
from spawner.pool.build import new_id
from spawner.settings import Settings
from spawner.times import utc_text

log = logging.getLogger("freepool.login")
PREFIXES = {4: 24, 6: 56}
"""Prefix length of one network, by version of IP: about what one household or small site has."""
FULL = (Refused.FULL_DAY, Refused.FULL_NETWORK)
HEADINGS = {Refused.UNINVITED: Heading.UNINVITED} | dict.fromkeys(FULL, Heading.FULL)


@dataclass(frozen=True)
class Login:
    """One login by OAuth. `claims` are what its provider has said about the account."""

    handler: Any
    authenticator: Any
    model: Mapping[str, Any]
    claims: Mapping[str, Any]
    identity: Identity


async def admit(settings: Settings, ledger: Ledger, login: Login, secret: str, now: datetime) -> None:
    """Write the person of an account that JupyterHub does not know. Raises `LoginRefused` where it may not come in."""
    code = kept_code(login.handler, settings)
    newcomer = Newcomer(
        identity=login.identity,
        name=login.model["name"],
        network=network_digest(secret, address_of(login.handler, settings), now),
        code_hash=hash_of(code) if code else None,
        is_named=_is_named(login),
        hub=settings.hubs.drain_to or settings.hubs.name,
    )
    found = await ledger.awrite(newcomers.enter, newcomer, settings.people, new_id=new_id, now=now)
    if isinstance(found, Refused):
        tomorrow = newcomers.next_day(now)
        html = refusal(found, name=newcomer.name, tomorrow=utc_text(tomorrow))
        raise NewAccountRefused(found, html, retry_after=int((tomorrow - now).total_seconds()) + 1)


async def note(ledger: Ledger, login: Login, settings: Settings) -> None:
    """Keep what the login has said that classes are made of. The cookie of an invitation has served."""
    facts = facts_of(login.claims, settings.people)
    person = await ledger.aread(people.by_identity, login.identity)
    if person is not None and trust.differs(person, facts):
        await ledger.awrite(trust.note_login, person.id, facts)
    drop_code(login.handler, settings)


class NewAccountRefused(LoginRefused):
    """A refusal of an account that is new here."""

    def __init__(self, why: Refused, html: str, *, retry_after: int) -> None:
        heading = HEADINGS.get(why, Heading.INVITATION)
        super().__init__(429 if why in FULL else 403, f"a new account was refused: {why}", html, heading=heading)
        self.headers = {"Retry-After": str(retry_after)} if why in FULL else {}  # set by JupyterHub


def address_of(handler: Any, settings: Settings) -> str:
    """The client's address. In a hub whose own file calls `add_freepool` only, `remote_ip` is what X-Real-Ip says."""
    request = handler.request
    return client_address(request.remote_ip, request.headers.get("X-Forwarded-For"), settings.trusted_proxies)


def network_digest(secret: str, address: str, now: datetime) -> str:
    """What is kept of the network of an address for one day: of other days it is another value."""
    message = "\0".join(("freepool network v1", f"{now.astimezone(UTC):%Y-%m-%d}", counted_network(address)))
    return hmac.new(secret.encode(), message.encode(), "sha256").hexdigest()


def counted_network(address: str) -> str:
    """The network whose new accounts are counted together: a /24 or a /56. All unreadable addresses are one."""
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    return str(ip_network((found, PREFIXES[found.version]), strict=False))


def facts_of(claims: Mapping[str, Any], settings: PeopleSettings) -> LoginFacts:
    """Which of the claims that the settings name have which of their values, and since when the account exists."""
    held = {
        trust.claim_key(name, value)
        for rule in (*settings.known, *settings.trusted)
        for name, values in rule.wanted().items()
        for value in values
        if _has(find_claim(claims, name), value)
    }
    return LoginFacts(tuple(sorted(held)), read_time(find_claim(claims, settings.account_since_claim)))


def _has(found: Any, value: object) -> bool:
    """A list has its items. True is not 1: a provider that says "true" as text must be asked for text."""
    if isinstance(found, Sequence) and not isinstance(found, str):
        return any(_has(one, value) for one in found if not isinstance(one, list))
    return type(found) is type(value) and found == value


def read_time(found: Any) -> datetime | None:
    """ISO 8601 with a zone, or seconds since 1970; None for anything else."""
    try:
        if isinstance(found, str):
            time = datetime.fromisoformat(found)
            return time.astimezone(UTC) if time.tzinfo is not None else None
        if isinstance(found, int | float) and not isinstance(found, bool):
            return datetime.fromtimestamp(found, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _is_named(login: Login) -> bool:
    """Whether the settings name this account, as an administrator or by its name."""
    rules = getattr(login.authenticator, "rules", None)
    return bool(login.model.get("admin")) or (rules is not None and login.model["name"] in rules.allowed_users)
