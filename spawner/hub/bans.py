"""Refuses what a banned person asks the hub for: pages, API tokens, the tokens of notebooks, and visits to them.

Open stay logging in and out, and the desk's own sign-in: the desk shows why, until when and how to appeal, and has the
pages on which paid instances are stopped and deleted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.auth import OAuthAuthorizeHandler
from jupyterhub.apihandlers.users import SelfAPIHandler
from jupyterhub.handlers.base import AddSlashHandler, BaseHandler, PrefixRedirectHandler, UserUrlHandler
from jupyterhub.handlers.login import LoginHandler, LogoutHandler
from jupyterhub.handlers.pages import RootHandler
from tornado.web import HTTPError

from spawner.errors import Banned, FreepoolError
from spawner.hub.login.pages import Heading, both
from spawner.hub.people import HubPeople, PersonHandler
from spawner.ledger.people import bans
from spawner.ledger.people.bans import BannedUser
from spawner.ledger.people.rows import Ban, BanCode, HubUser
from spawner.refusals import REFUSAL_HEADER, encode_refusal

log = logging.getLogger("freepool.hub")
DESK_CLIENT = "service-desk"
FRESH_SECONDS = 1.0
"""How long the list of bans is used before it is read again."""
PATIENCE = 2.0
"""How long a request waits for a ledger that does not answer. Then the list of before counts."""
OPEN = (LoginHandler, LogoutHandler, RootHandler, PrefixRedirectHandler, AddSlashHandler)
DESK_ASKS = (SelfAPIHandler, PersonHandler)
"""What the desk asks with the token of its own sign-in."""
CHINESE = {
    bans.REASONS[BanCode.MINING]: "你的账号已被封禁：曾用于挖矿。",
    bans.REASONS[BanCode.ATTACK]: "你的账号已被封禁：曾用于攻击他人。",
    bans.REASONS[BanCode.SPAM]: "你的账号已被封禁：曾用于发送垃圾信息。",
    bans.REASONS[BanCode.EVASION]: "你的账号已被封禁：它属于一位已被封禁的用户。",
    bans.REASONS[BanCode.OTHER]: "你的账号已被封禁。",
    bans.UNTIL: "封禁将于 {until} 结束。申诉方式：{appeal}",
    bans.FOR_GOOD: "此封禁为永久封禁。申诉方式：{appeal}",
    bans.UNTIL_ASK: "封禁将于 {until} 结束。申诉方式：联系本平台的管理员。",
    bans.FOR_GOOD_ASK: "此封禁为永久封禁。申诉方式：联系本平台的管理员。",
}
"""The hub's pages have both languages. `tests/unit/test_translations.py` compares these with the desk's."""
LEFT = ("The home page shows what you can still do.", "你仍可进行的操作见首页。")

Prepare = Callable[[Any], Awaitable[None]]


class BanRefused(HTTPError):
    """403 for a page and for the API, with the refusal in a header, so that the desk can translate it."""

    def __init__(self, refusal: Banned, desk_url: str = "") -> None:
        super().__init__(403, "%s", refusal.message, reason="banned")
        self.jupyterhub_message = f"{refusal.message} {refusal.next_step}"
        texts = (refusal.template, refusal.next_template)
        self.jupyterhub_html_message = both(
            f'{" ".join(texts)} <a href="{{desk}}">{LEFT[0]}</a>',
            f'{"".join(CHINESE[text] for text in texts)}<a href="{{desk}}">{LEFT[1]}</a>',
            desk=desk_url,
            **{name: str(value) for name, value in refusal.params.items()},
        )
        self.headers = {REFUSAL_HEADER: encode_refusal(refusal)}
        self.heading = Heading.BANNED


@dataclass
class HubBans:
    """The bans that hold, as the hub knows them."""

    people: HubPeople
    clock: Callable[[], float] = time.monotonic
    _known: list[BannedUser] = field(default_factory=list)
    _read_at: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, user: HubUser) -> Ban | None:
        """The ban of a user that holds longest."""
        await self._refresh()
        now = self.people.now()
        holding = [one for one in self._known if one.holds(now)]
        found = next((one.ban for one in holding if one.is_of(user)), None)
        if found is None and any(one.may_be_of(user) for one in holding):
            person = await self.people.of(user)
            found = next((one.ban for one in holding if one.ban.person_id == person.id), None)
        return found

    async def _refresh(self) -> None:
        async with self._reading:
            if self.clock() - self._read_at < FRESH_SECONDS:
                return
            try:
                async with asyncio.timeout(PATIENCE):
                    self._known = await self.people.ledger.aread(bans.banned_users, now=self.people.now())
            except (FreepoolError, TimeoutError) as error:
                log.warning("the bans cannot be read, so those of before count: %s", error or "no answer")
            self._read_at = self.clock()


def refuse_banned(bans_of_hub: HubBans) -> None:
    """Check every request of this process's hub."""
    prepare = getattr(BaseHandler.prepare, "without_bans", BaseHandler.prepare)
    BaseHandler.prepare = _checked(prepare, bans_of_hub)


def _checked(prepare: Prepare, bans_of_hub: HubBans) -> Prepare:
    @wraps(prepare)
    async def checked(handler: Any) -> None:
        await prepare(handler)
        if not handler._finished:
            await _refuse(handler, bans_of_hub)

    checked.without_bans = prepare  # type: ignore[attr-defined]
    return checked


async def _refuse(handler: Any, bans_of_hub: HubBans) -> None:
    """Raise `BanRefused` where the one who asks is banned, and where somebody visits a banned person's notebook."""
    asking = getattr(handler.current_user, "orm_user", None)
    if isinstance(asking, orm.User):
        ban = await bans_of_hub.of(bans_of_hub.people.user(asking))
        if ban is not None and not _is_open(handler):
            raise BanRefused(bans.refusal_of(ban), handler.default_url or handler.hub.base_url)
    if isinstance(handler, UserUrlHandler) and handler.has_scope(f"access:servers!server={_owner(handler)}/"):
        owner = orm.User.find(handler.db, _owner(handler))
        if (
            owner is not None
            and owner is not asking
            and await bans_of_hub.of(bans_of_hub.people.user(owner)) is not None
        ):
            raise HTTPError(403, "The owner of this notebook is banned, so nobody may use it.")


def _owner(handler: UserUrlHandler) -> str:
    return str(handler.path_kwargs.get("user_name", ""))


def _is_open(handler: Any) -> bool:
    """Whether a banned person may ask for this."""
    token = handler.get_token() if getattr(handler, "_token_authenticated", False) else None
    if token is not None:
        return token.client_id == DESK_CLIENT and isinstance(handler, DESK_ASKS)
    if isinstance(handler, OAuthAuthorizeHandler):
        return set(handler.get_arguments("client_id")) == {DESK_CLIENT}  # query and body may name two
    login_handlers = tuple(route[1] for route in handler.authenticator.get_handlers(handler.app))
    return isinstance(handler, (*OPEN, *login_handlers))
