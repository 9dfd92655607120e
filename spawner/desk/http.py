"""Base classes of the desk's handlers: authentication, the language of the answer, and errors."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import sys
from datetime import datetime, tzinfo
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from jupyterhub.services.auth import HubOAuthenticated, UserNotAllowed
from pydantic import BaseModel
from sqlalchemy import Connection
from tornado.httputil import split_host_and_port, url_concat
from tornado.web import HTTPError, RequestHandler

from spawner import __version__
from spawner.desk.announcement import read as announcements
from spawner.desk.announcement.read import AnnouncementView
from spawner.desk.context import Desk
from spawner.desk.durations import LOCALES
from spawner.desk.i18n import LANGUAGE_COOKIE, choose_language
from spawner.desk.identity import HUB_COOKIE, HubLogins, cookie_values, instance_of_token
from spawner.desk.problems import Problem, describe_error, title_of
from spawner.desk.report_view import make_report
from spawner.desk.streams import MOST, Streams
from spawner.desk.terms.check import accept_path, needs_acceptance
from spawner.desk.zones import ZONE_COOKIE, time_text, zone_named
from spawner.errors import Banned, Conflict, FreepoolError, NotAllowed, OfAnotherHub, RateLimited, Refusal, SignedOut
from spawner.hub_client import HubRefused
from spawner.i18n import LANGUAGE_NAMES
from spawner.ledger.people import bans, people
from spawner.ledger.people.rows import Ban, Person
from spawner.origins import ALONE, COOP
from spawner.pool.build import utc_now
from spawner.rate_limits.limiter import RateLimiter
from spawner.rate_limits.rules import kind_of
from spawner.request_ids import set_request_id
from spawner.terms.refusal import not_accepted

log = logging.getLogger("freepool.desk")
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
FALLBACK = "same-origin"
"""For Firefox and Safari, which ignore a value that they do not know. It does the same for pages of other origins."""
ACCOUNT_SECONDS = 1.0
"""A page that needs no sign-in waits so long for the hub, which may be away."""
WITHOUT_ALONE = re.compile(r"Firefox/|^(?!.*(?:Chrome|Chromium|CriOS)/).*Safari/")


class Handler(HubOAuthenticated, RequestHandler):
    """Base of all handlers. `wants_json`: errors are JSON; `needs_user`: a signed-in user is required.

    `needs_person`: the ledger's row of the user is read, which a service has none of.
    `shows_account`: a page for everybody, whose header has the account of a visitor who is signed in.
    `takes_instance_token`: a notebook server may do this with its own token, for its own session.
    `serves_user_hosts`: this is also answered on the hosts of users' notebooks. `serves_banned`: a banned person may do
    this. `serves_unaccepted`: a person who has not accepted the terms may do this; so they may with `serves_banned`.
    """

    desk: Desk
    person: Person
    wants_json = False
    needs_user = True
    needs_person = True
    shows_account = False
    takes_instance_token = False
    serves_user_hosts = False
    serves_banned = False
    serves_unaccepted = False
    ban: Ban | None = None
    """The ban of the signed-in person that holds now."""
    announcement: AnnouncementView | None = None
    """What a page shows on top."""
    instance_server: str | None = None
    """Name of the server whose own token came with the request."""
    account: dict[str, Any] | None = None
    """Name of the visitor, and whether they are an administrator, for the header of a page that needs no sign-in."""

    def initialize(self, desk: Desk, *_: Any, **__: Any) -> None:
        """Called by Tornado with the keyword arguments of the route. Subclasses declare what else they are given."""
        self.desk = desk
        self.hub_auth = self.settings["hub_auth"]

    def set_default_headers(self) -> None:
        """Nothing is loaded from other origins, and no page is shown in a frame."""
        set_request_id(self)
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        knows_alone = WITHOUT_ALONE.search(self.request.headers.get("User-Agent", "")) is None
        self.set_header(COOP, ALONE if knows_alone else FALLBACK)

    async def prepare(self) -> None:
        """Set the language and the user. JupyterHub checks the XSRF token of requests that come with a cookie.

        Raises `NotAllowed`, `SignedOut`, `Banned` and `Conflict`; redirects a GET of a page to the sign-in.
        """
        if not self.serves_user_hosts and self._is_on_user_host:
            raise HTTPError(404)
        if self._is_page_on_other_host:
            self.redirect(f"{self.desk.settings.subdomain_host}{self.request.uri}")
            return
        language = choose_language(self.get_cookie(LANGUAGE_COOKIE), self.request.headers.get("Accept-Language"))
        self.language_texts = self.desk.texts[language]
        if not self.wants_json and self.request.method in ("GET", "HEAD"):
            self.announcement = await announcements.current(self.desk, language, utc_now())
        if not self.needs_user:
            if self.shows_account and not self.wants_json:
                self.account = await self._find_account()
            self.current_user = None
            return
        try:
            self.current_user = await self.identify()
        except UserNotAllowed as error:
            self.current_user = self._user_of_instance(error.model)
        if self.current_user is not None and not await self._is_one_login():
            self._sign_in_again()
            return
        if self.current_user is not None:
            self._count_request()
            if self.needs_person:
                try:
                    self.person, self.ban = await self._find_person()
                except HubRefused as refusal:
                    self._redirect_to_hub(refusal)
                    return
                self._refuse_ban()
                await self._require_terms()
        else:
            await self._refuse_token()
            if self.wants_json or self.request.method != "GET":
                raise SignedOut("You are not signed in.", next_step="Sign in, or send a valid token and XSRF token.")
            await self.ask_to_sign_in()

    async def _find_account(self) -> dict[str, Any] | None:
        """Whose cookie this is; None where the hub does not say so at once. The page is shown in any case."""
        if not cookie_values(self.request, self.hub_auth.cookie_name):
            return None
        try:
            async with asyncio.timeout(ACCOUNT_SECONDS):
                self.current_user = await self.identify()
                if self.current_user is None or not await self._is_one_login():
                    return None
        except (TimeoutError, HTTPError, UserNotAllowed, FreepoolError, aiohttp.ClientError, OSError) as error:
            log.info("%s is shown without the visitor's account: %s", self.request.path, error or "no answer")
            return None
        return {"name": self.current_user["name"], "admin": self.is_admin}

    def _redirect_to_hub(self, refusal: HubRefused) -> None:
        """Lead a page's visitor who was moved to another hub there. Raises the refusal for anything else."""
        is_page = not self.wants_json and not self.is_by_token and self.request.method in ("GET", "HEAD")
        hub = str(refusal.params.get("hub", "")) if refusal.code == OfAnotherHub.code else ""
        url = self.desk.settings.hubs.url_on(hub, self.request.uri or "/")
        if url is None or not is_page:
            raise refusal
        self.current_user = None  # for subclasses, which look at the user after this
        self.redirect(url)

    async def ask_to_sign_in(self) -> None:
        """Answer a GET of this page by a browser that is not signed in."""
        self.redirect(self.get_login_url())

    def _count_request(self) -> None:
        """Raise `RateLimited` where the user has sent too many."""
        kind = kind_of(self.request.method or "GET", self.request.path)
        if kind is not None:
            limiter: RateLimiter = self.settings["limiter"]
            limiter.require(kind, str(self.current_user["name"]))

    @property
    def _is_on_user_host(self) -> bool:
        host, _ = split_host_and_port(self.request.host.lower())
        domain = urlsplit(self.desk.settings.subdomain_host or "").hostname
        return domain is not None and host.endswith(f".{domain}")

    @property
    def _is_page_on_other_host(self) -> bool:
        """Whether a browser asks for a page by an address or another name: its sign-in would end on the hub's host."""
        is_page = self.needs_user and not (self.wants_json or self.serves_user_hosts)
        if not is_page or self.request.method not in ("GET", "HEAD"):
            return False
        host, _ = split_host_and_port(self.request.host.lower())
        domain = urlsplit(self.desk.settings.subdomain_host or "").hostname
        return domain is not None and host != domain and "Authorization" not in self.request.headers

    def _user_of_instance(self, model: dict[str, Any]) -> dict[str, Any]:
        """The user of a notebook server's own token. Raises `NotAllowed` where that token may not do this."""
        server = instance_of_token(model)
        if server is None:
            raise NotAllowed(
                "This token has no access to this service.", next_step="Add the scope access:services!service=desk."
            )
        if not self.takes_instance_token:
            raise NotAllowed(
                "A notebook's own token is only for its own session.",
                next_step="Use api/session, or do this on the home page in your browser.",
            )
        self.instance_server = server
        return model

    async def _is_one_login(self) -> bool:
        """Whether the desk's cookie and the hub's are of one user. JupyterHub ties the XSRF token to the desk's cookie.

        Another host can set cookies for this one, unless they have the prefix `__Host-`.
        """
        if self.is_by_token:
            return True  # no cookie counts
        if len(cookie_values(self.request, self.hub_auth.cookie_name)) > 1:
            return False
        cookie = self.get_cookie(HUB_COOKIE) if self.desk.settings.binds_cookies else None
        if cookie is None:
            return True
        logins: HubLogins = self.settings["hub_logins"]
        return await logins.belongs_to(cookie, str(self.current_user["name"]))

    def _sign_in_again(self) -> None:
        """Remove the desk's cookie, for this host and for its domain, and sign in as the hub's user."""
        self.hub_auth.clear_cookie(self)
        host, _ = split_host_and_port(self.request.host)
        if not self.desk.settings.binds_cookies:
            self.add_header(
                "Set-Cookie",
                f'{self.hub_auth.cookie_name}=""; Domain={host}; Max-Age=0; Path={self.hub_auth.cookie_path}',
            )
        self.current_user = None
        if self.wants_json or self.request.method != "GET":
            raise Conflict("This browser is signed in as different users.", next_step="Reload the page.")
        self.redirect(self.get_login_url())

    def require_guarded_pages(self, refusal: Refusal) -> None:
        """Raise `refusal` for a browser where a script in a notebook could act on this page for its visitor."""
        is_browser = not self._finished and not self.is_by_token
        if is_browser and not self.desk.settings.guards_pages:
            raise refusal

    async def identify(self) -> Any:
        """JupyterHub's model of the user; None for a request without a valid session or token, and for a service."""
        user = await self.hub_auth.get_user(self, sync=False)
        return self.check_hub_user(user) if user and user.get("kind", "user") == "user" else None

    async def _find_person(self) -> tuple[Person, Ban | None]:
        """Who the signed-in user is, and the ban that holds.

        The ledger knows it by name and time of creation. Where it does not (the user is new, or was renamed), or where
        the token cannot tell the time, the hub is asked, which knows the user by number.
        """
        user, ledger, now = self.current_user, self.desk.ledger, utc_now()

        def read(connection: Connection) -> tuple[Person, Ban | None] | None:
            person = people.current(connection, user["name"], user["created"], self.desk.settings.hubs.name)
            return None if person is None else (person, bans.of_person(connection, person.id, now=now))

        found = await ledger.aread(read) if user.get("created") else None
        if found is not None:
            return found
        person_id = await self.desk.hub.person_id(self.hub_auth.get_token(self))
        return await ledger.aread(people.get, person_id), await ledger.aread(bans.of_person, person_id, now=now)

    async def refuse_banned(self) -> None:
        """Read the person's ban again. Raises `Banned`, unless a banned person may do this."""
        self.ban = await self.desk.ledger.aread(bans.of_person, self.person_id, now=utc_now())
        self._refuse_ban()

    def _refuse_ban(self) -> None:
        if self.ban is not None and not self.serves_banned:
            raise bans.refusal_of(self.ban)

    async def _require_terms(self) -> None:
        """Lead a page's visitor who has not accepted the terms to where that is done. Raises `TermsNotAccepted`.

        A running notebook goes on: what it does with its own token is not refused.
        """
        if self.serves_unaccepted or self.serves_banned or self.instance_server is not None:
            return
        if not await needs_acceptance(self.desk, self.person_id):
            return
        if self.wants_json or self.request.method != "GET":
            page = accept_path(self.desk.base, self.desk.base).partition("?")[0]
            raise not_accepted(self.desk.settings.public_url.rstrip("/") + page)
        self.current_user = None  # for subclasses, which look at the user after this
        self.redirect(accept_path(self.desk.base, self.request.uri or self.desk.base))

    async def _refuse_token(self) -> None:
        """Raise what the hub says of an API token that it does not take: that its user is banned, or `SignedOut`."""
        token = self.hub_auth.get_token(self, in_cookie=False)
        if token:
            await self.desk.hub.person_id(token)

    @property
    def streams(self) -> Streams:
        """The open streams of this process."""
        most = MOST if self.desk.settings.rate_limits.enabled else sys.maxsize
        found: Streams = self.settings.setdefault("streams", Streams(most))
        return found

    @property
    def person_id(self) -> str:
        """The signed-in person."""
        return self.person.id

    @property
    def is_by_token(self) -> bool:
        """Whether an API token identified the user. JupyterHub takes the cookie where a token is not valid."""
        return bool(getattr(self, "_token_authenticated", False))

    @property
    def user_name(self) -> str:
        """The person's name in JupyterHub now. The user model may be some minutes older."""
        return self.person.hub_name

    @property
    def user_since(self) -> str:
        """When JupyterHub created this user, as text."""
        return self.person.hub_since or ""

    @property
    def is_admin(self) -> bool:
        """Whether JupyterHub lists the user as an administrator. Permissions are checked by `AdminHandler`."""
        return bool((self.current_user or {}).get("admin"))

    @property
    def is_navigation(self) -> bool:
        """Whether the browser loads this as a top-level page: not in a frame, and not by a script's `fetch`.

        Browsers send Sec-Fetch headers only to HTTPS and loopback; without them, only plain HTTP is accepted.
        """
        mode, destination = (self.request.headers.get(f"Sec-Fetch-{name}") for name in ("Mode", "Dest"))
        if mode is None and destination is None:
            return not self.desk.settings.is_secure
        return (mode, destination) == ("navigate", "document")

    @property
    def is_our_script(self) -> bool:
        """Whether a script of a page of ours sends this: it has the XSRF token from the page."""
        given = self.request.headers.get("X-XSRFToken", "")
        return hmac.compare_digest(given.encode(), self.xsrf_token)

    def say(self, message: str, **params: object) -> str:
        """`message` in the user's language."""
        return self.language_texts.say(message, **params)

    def text_of(self, error: FreepoolError) -> str:
        """The error's message and next step in the user's language, for a page."""
        following = self.say(error.next_template, **error.params) if error.next_template else ""
        return self.language_texts.together(self.say(error.template, **error.params), following)

    @property
    def zone(self) -> tzinfo:
        """The browser's time zone, which a script of an earlier page has put into a cookie; else UTC."""
        return zone_named(self.get_cookie(ZONE_COOKIE))

    def time_text(self, at: datetime) -> str:
        """Date and time in the reader's zone and language; in UTC, and saying so, where the zone is not known."""
        return time_text(at, self.zone, LOCALES[self.language_texts.language])

    @property
    def here(self) -> str:
        """The URL to return to, as a GET, after the language was changed on this page."""
        return self.request.uri or self.desk.base if self.request.method == "GET" else self.desk.base

    def render_page(self, name: str, **context: Any) -> str:
        """HTML from a template below `templates/`."""
        template = self.desk.templates.get_template(name)
        xsrf = self.xsrf_token.decode() if self.current_user and self._may_hold_token else ""
        context.setdefault("languages", [] if xsrf else self._language_links())
        context.setdefault("state", {"user": self.account})
        return template.render(
            _=self.language_texts.say,
            lang=self.language_texts.language,
            base=self.pages_base,
            share_image=urljoin(self.desk.settings.public_url, self.static_path("shared/share.png")),
            static=self.static_path,
            xsrf=xsrf,
            here=self.here,
            version=__version__,
            demo=self.desk.settings.is_demo,
            has_paid=self.desk.settings.paid is not None and self.desk.settings.guards_pages,
            guards_pages=self.desk.settings.guards_pages,
            has_channels=self.desk.settings.channels.is_on,
            has_kept_files=self.desk.catalog.keep.enabled,
            announcement=self.announcement,
            **context,
        )

    def _language_links(self) -> list[tuple[str, str, str]]:
        """For a page that cannot hold the form: each language's tag, name and address.

        They lead back to the page's address without its query, which may have a key or a code.
        """
        page, here = f"{self.desk.base}language/", self.here.partition("?")[0]
        return [(tag, name, url_concat(page + tag, {"here": here})) for tag, name in LANGUAGE_NAMES.items()]

    @property
    def _may_hold_token(self) -> bool:
        """Whether the page may contain the XSRF token: not if a script fetches it that does not have the token yet."""
        return self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate" or self.is_our_script

    @property
    def pages_base(self) -> str:
        """URL prefix of links on this page."""
        return self.desk.base

    def static_path(self, path: str) -> str:
        """Versioned URL of a static file."""
        return str(self.static_url(path))

    def _request_summary(self) -> str:
        """For the log: without the query, which may have a key, a code or a token."""
        return f"{self.request.method} {self.request.path} ({self.request.remote_ip})"

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Do not log errors whose message the user reads."""
        if isinstance(value, HTTPError):
            super().log_exception(kind, value, trace)
        elif not isinstance(value, FreepoolError):  # Tornado would log the whole request with it
            log.error("Uncaught exception %s", self._request_summary(), exc_info=(kind, value, trace))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Send the error as JSON or as a page."""
        if not hasattr(self, "language_texts"):  # it was raised before or in `prepare`
            self.language_texts = self.desk.texts["en"]
        _, error, _ = kwargs.get("exc_info", (None, None, None))
        problem = describe_error(error, status_code, self.language_texts, self.desk.catalog)
        self.set_status(problem.status)
        if isinstance(error, RateLimited):
            self.set_header("Retry-After", str(error.seconds))
        if self.wants_json:
            self.set_header("Content-Type", "application/json")
            body = {"code": problem.code, "message": problem.message, "next": problem.next, "details": problem.details}
            self.finish(json.dumps({"error": body | ({"facts": dict(problem.facts)} if problem.facts else {})}))
        else:
            self._write_error_page(problem)

    def _write_error_page(self, problem: Problem) -> None:
        if problem.code == Banned.code:
            return self._write_ban_page(problem)
        title = self.say(title_of(problem))
        text = self.language_texts.together(problem.message, problem.next or "")
        if problem.status == HTTPStatus.NOT_FOUND:
            title, text = self.say("Page not found"), self.say("Check the address, or go to the home page.")
        if hasattr(self, "person") and self.current_user is not None:
            self.account = {"name": self.user_name, "admin": self.is_admin}
        self.current_user = None  # no XSRF token on this page
        self.finish(
            self.render_page(
                "shared/message.html",
                title=title,
                text=text,
                report=make_report(self, f"{problem.status} {problem.message}"),
                action_url=self.desk.base,
                action_label=self.say("Go to home page"),
            )
        )

    def _write_ban_page(self, problem: Problem) -> None:
        """Why, until when, how to appeal; and the way to paid instances, which the person can still stop and delete."""
        has_paid = self.desk.settings.paid is not None and self.desk.settings.guards_pages
        user = {"name": self.user_name, "admin": False} if hasattr(self, "person") else None
        self.finish(
            self.render_page(
                "shared/message.html",
                state={"user": user},
                title=self.say("Account banned"),
                text=self.language_texts.together(problem.message, problem.next),
                action_url=f"{self.desk.base}paid" if has_paid else "",
                action_label=self.say("Your paid notebooks") if has_paid else "",
            )
        )


class JsonHandler(Handler):
    """Base of the API."""

    wants_json = True

    def answer(self, model: BaseModel, status: int = 200) -> None:
        """Send a model as JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(model.model_dump_json())
