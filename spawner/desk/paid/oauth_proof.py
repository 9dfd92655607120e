"""Proving which cloud account a person owns: OAuth 2 with PKCE. It proves that and lets nobody do anything.

Nothing of it is kept: the tokens are gone as soon as the cloud has said whose account it is.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc6749.parameters import parse_authorization_code_response
from tornado.web import create_signed_value, decode_signed_value

from spawner.desk.paid.http import LINK_LIFE
from spawner.errors import BackendUnavailable, NotAllowed, SetupError
from spawner.settings import OAuthSettings

log = logging.getLogger("freepool.desk")
SCOPE = "openid aliuid"
SECONDS = 10
STATE = "freepool-paid-link"
VERIFIER_BYTES = 48
LONGEST_NAME = 64
OTHER_VISIT = "This sign-in was begun in another window, or too long ago."
SAID_NO = "You did not agree at the cloud. Nothing is linked."
NO_ACCOUNT = "The cloud did not say which account is yours."
CLOUD_SILENT = "The cloud's sign-in does not answer just now."
BEGIN_AGAIN = "Begin again."


@dataclass(frozen=True)
class Visit:
    """One way to the cloud and back: what the browser keeps, and what the cloud sends back with it."""

    nonce: str
    verifier: str
    user_name: str
    provider: str


@dataclass(frozen=True)
class Proof:
    """Whose account it is: `subject` is the person who signed in."""

    account_id: str
    subject: str


class AccountProof:
    """The cloud's OAuth. `key` signs what goes to the browser; `redirect_uri` is where the cloud sends it back."""

    def __init__(self, oauth: OAuthSettings, *, redirect_uri: str, key: bytes) -> None:
        self._oauth, self._redirect_uri, self._key = oauth, redirect_uri, key

    def begin(self, user_name: str, provider: str) -> tuple[str, str]:
        """Where to send the browser, and what it keeps meanwhile, which nobody else may see."""
        visit = Visit(secrets.token_hex(16), secrets.token_urlsafe(VERIFIER_BYTES), user_name, provider)
        with_it = self._sign({"nonce": visit.nonce, "user": user_name})
        url, _ = self._client().create_authorization_url(
            self._oauth.authorize_url, state=with_it, code_verifier=visit.verifier, access_type="online"
        )
        return str(url), self._sign(vars(visit))

    def end(self, uri: str, kept: str, user_name: str) -> tuple[Visit, str]:
        """The visit that ends with this request, and the code. Raises `NotAllowed`."""
        visit = self._visit(kept)
        sent = self._read(_state_in(uri))
        if visit is None or visit.user_name != user_name or sent != {"nonce": visit.nonce, "user": user_name}:
            raise NotAllowed(OTHER_VISIT, next_step=BEGIN_AGAIN)
        try:
            return visit, str(parse_authorization_code_response(uri)["code"])
        except AuthlibBaseError:
            raise NotAllowed(SAID_NO, next_step=BEGIN_AGAIN) from None

    async def prove(self, visit: Visit, code: str) -> Proof:
        """Ask the cloud whose account it is. Raises `NotAllowed` or `BackendUnavailable`."""
        try:
            async with self._client() as client:
                await client.fetch_token(self._oauth.token_url, code=code, code_verifier=visit.verifier)
                answer = await client.get(self._oauth.userinfo_url)
                answer.raise_for_status()
                said = answer.json()
        except (httpx2.TransportError, httpx2.HTTPStatusError):
            # Causes may quote a code or a token.
            raise BackendUnavailable(CLOUD_SILENT, next_step=BEGIN_AGAIN) from None
        except (AuthlibBaseError, ValueError):
            raise NotAllowed(OTHER_VISIT, next_step=BEGIN_AGAIN) from None
        account, subject = (said.get(name) if isinstance(said, dict) else None for name in ("aid", "uid"))
        for value in (account, subject):
            if not isinstance(value, str) or not value.isalnum() or len(value) > LONGEST_NAME:
                raise NotAllowed(NO_ACCOUNT, next_step=BEGIN_AGAIN)
        return Proof(str(account), str(subject))

    def _client(self) -> AsyncOAuth2Client:
        try:
            secret = self._oauth.secret()
        except SetupError as error:
            log.error("%s", error)
            raise BackendUnavailable(CLOUD_SILENT, next_step="Tell the operator.") from None
        return AsyncOAuth2Client(
            client_id=self._oauth.client_id,
            client_secret=secret,
            scope=SCOPE,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            timeout=SECONDS,
            follow_redirects=False,
        )

    def _sign(self, value: object) -> str:
        return str(create_signed_value(self._key, STATE, json.dumps(value)).decode())

    def _read(self, text: str) -> object:
        value = decode_signed_value(self._key, STATE, text, max_age_days=LINK_LIFE / timedelta(days=1))
        return None if value is None else json.loads(value)

    def _visit(self, kept: str) -> Visit | None:
        found = self._read(kept)
        return Visit(**found) if isinstance(found, dict) and found.keys() == Visit.__dataclass_fields__.keys() else None


def _state_in(uri: str) -> str:
    """The state that came back with it, empty where none did."""
    return httpx2.URL(uri).params.get("state", "")
