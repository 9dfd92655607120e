"""Finds out which cloud account a user owns, by OAuth 2 with PKCE.

The scope grants no access to resources, and the tokens are dropped as soon as the account's id is known.
"""

from __future__ import annotations

import json
import logging
import secrets
from datetime import timedelta

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc6749.parameters import parse_authorization_code_response
from tornado.web import create_signed_value, decode_signed_value

from spawner.desk.paid.context import SIGN_IN_LIFETIME, Proof, SignIn
from spawner.errors import BackendUnavailable, NotAllowed, SetupError
from spawner.paid_settings import OAuthSettings

log = logging.getLogger("freepool.desk")
SCOPE = "openid aliuid"
SECONDS = 10
STATE = "freepool-paid-link"
VERIFIER_BYTES = 48
LONGEST_NAME = 64
OTHER_VISIT = "This sign-in was started in another window or has expired."
SAID_NO = "You did not authorize access in the cloud. No account was linked."
NO_ACCOUNT = "The cloud did not confirm which account is yours."
CLOUD_SILENT = "The cloud's sign-in is not responding."
BEGIN_AGAIN = "Start over."


class OAuthProof:
    """An `AccountProof`. `key` signs the cookie and the OAuth state; the cloud redirects to `redirect_uri`."""

    def __init__(self, oauth: OAuthSettings, *, redirect_uri: str, key: bytes) -> None:
        self._oauth, self._redirect_uri, self._key = oauth, redirect_uri, key

    def begin(self, person_id: str, provider: str) -> tuple[str, str]:
        """The URL of the cloud's sign-in, and the value of the cookie, which only this browser may have."""
        sign_in = SignIn(secrets.token_hex(16), secrets.token_urlsafe(VERIFIER_BYTES), person_id, provider)
        state = self._sign({"nonce": sign_in.nonce, "user": person_id})
        url, _ = self._client().create_authorization_url(
            self._oauth.authorize_url, state=state, code_verifier=sign_in.verifier, access_type="online"
        )
        return str(url), self._sign(vars(sign_in))

    def end(self, uri: str, cookie: str, person_id: str) -> tuple[SignIn, str]:
        """The sign-in that ends with the request of `uri`, and the cloud's code. Raises `NotAllowed`."""
        sign_in = self._sign_in(cookie)
        state = self._read(_state_in(uri))
        if sign_in is None or sign_in.person_id != person_id or state != {"nonce": sign_in.nonce, "user": person_id}:
            raise NotAllowed(OTHER_VISIT, next_step=BEGIN_AGAIN)
        try:
            return sign_in, str(parse_authorization_code_response(uri)["code"])
        except AuthlibBaseError:
            raise NotAllowed(SAID_NO, next_step=BEGIN_AGAIN) from None

    async def prove(self, sign_in: SignIn, code: str) -> Proof:
        """Exchange the code for the account's id. Raises `NotAllowed` or `BackendUnavailable`."""
        try:
            async with self._client() as client:
                await client.fetch_token(self._oauth.token_url, code=code, code_verifier=sign_in.verifier)
                answer = await client.get(self._oauth.userinfo_url)
                answer.raise_for_status()
                claims = answer.json()
        except (httpx2.TransportError, httpx2.HTTPStatusError):
            # Their texts may contain a code or a token.
            raise BackendUnavailable(CLOUD_SILENT, next_step=BEGIN_AGAIN) from None
        except (AuthlibBaseError, ValueError):
            raise NotAllowed(OTHER_VISIT, next_step=BEGIN_AGAIN) from None
        account, subject = (claims.get(name) if isinstance(claims, dict) else None for name in ("aid", "uid"))
        for value in (account, subject):
            if not isinstance(value, str) or not value.isalnum() or len(value) > LONGEST_NAME:
                raise NotAllowed(NO_ACCOUNT, next_step=BEGIN_AGAIN)
        return Proof(str(account), str(subject))

    def _client(self) -> AsyncOAuth2Client:
        try:
            secret = self._oauth.secret()
        except SetupError as error:
            log.error("%s", error)
            raise BackendUnavailable(CLOUD_SILENT, next_step="Contact the administrator.") from None
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
        value = decode_signed_value(self._key, STATE, text, max_age_days=SIGN_IN_LIFETIME / timedelta(days=1))
        return None if value is None else json.loads(value)

    def _sign_in(self, cookie: str) -> SignIn | None:
        fields = self._read(cookie)
        if not isinstance(fields, dict) or fields.keys() != SignIn.__dataclass_fields__.keys():
            return None
        return SignIn(**fields)


def _state_in(uri: str) -> str:
    """OAuth's `state` parameter; empty where there is none."""
    return httpx2.URL(uri).params.get("state", "")
