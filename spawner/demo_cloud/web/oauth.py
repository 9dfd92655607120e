"""Alibaba Cloud's OAuth 2 and OpenID Connect. They prove which account a user owns and grant no other access."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import ipaddress
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
from aiohttp import BasicAuth, web
from cryptography.hazmat.primitives.asymmetric import rsa

from spawner.demo_cloud.pages import page
from spawner.demo_cloud.settings import Keys
from spawner.demo_cloud.world import World

CODE_LIFE = timedelta(minutes=10)
TOKEN_LIFE = timedelta(hours=1)
KEY_BITS = 2048
KEY_ID = "demo"


@dataclass(frozen=True)
class Grant:
    """A user's consent to an authorization request."""

    account: str
    user: str
    scopes: frozenset[str]
    until: datetime
    redirect_uri: str = ""
    challenge: str = ""
    nonce: str = ""


class OAuth:
    """Its only client is Freepool. `issuer`: base URL of this server, set once it listens."""

    issuer = ""

    def __init__(self, world: World, keys: Keys) -> None:
        self._world, self._keys = world, keys
        self._codes: dict[str, Grant] = {}
        self._tokens: dict[str, Grant] = {}

    @functools.cached_property
    def _signing(self) -> rsa.RSAPrivateKey:
        """Generated at first use, because that is slow."""
        return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)

    def add_routes(self, application: web.Application) -> None:
        """Add the routes, with the real cloud's paths."""
        router = application.router
        router.add_get("/.well-known/openid-configuration", self.discovery)
        router.add_get("/oauth2/v1/auth", self.ask)
        router.add_post("/oauth2/v1/auth", self.agree)
        router.add_post("/v1/token", self.token)
        router.add_get("/v1/userinfo", self.userinfo)
        router.add_get("/v1/keys", self.keys)

    async def discovery(self, _request: web.Request) -> web.Response:
        """The OpenID discovery document."""
        at = self.issuer
        return web.json_response(
            {
                "issuer": at,
                "authorization_endpoint": f"{at}/oauth2/v1/auth",
                "token_endpoint": f"{at}/v1/token",
                "userinfo_endpoint": f"{at}/v1/userinfo",
                "jwks_uri": f"{at}/v1/keys",
                "response_types_supported": ["code"],
                "scopes_supported": ["openid", "aliuid", "profile"],
                "code_challenge_methods_supported": ["plain", "S256"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "subject_types_supported": ["public"],
            }
        )

    async def ask(self, request: web.Request) -> web.Response:
        """The page where a user chooses an account and confirms the request."""
        query = request.query
        problem = self._problem(query)
        self._note("Authorize", 400 if problem else 200, "", pkce=query.get("code_challenge_method", ""))
        if problem:
            return page("problem.html", status=400, text=problem)
        accounts = list(self._world.directory.accounts.values())
        return page("authorize.html", accounts=accounts, query=dict(query), scopes=query.get("scope", "").split())

    async def agree(self, request: web.Request) -> web.Response:
        """Redirect to the client with a code or an error."""
        form = {key: str(value) for key, value in (await request.post()).items()}
        problem = self._problem(form)
        account = form.get("account", "")
        if problem or ("no" not in form and account not in self._world.directory.accounts):
            return page("problem.html", status=400, text=problem or "There is no such account.")
        answer = {"state": form["state"]} if form.get("state") else {}
        if "no" in form:
            answer["error"] = "access_denied"
        else:
            answer["code"] = secrets.token_urlsafe(24)
            self._codes[answer["code"]] = Grant(
                account=account,
                user=f"{account[:-4]}9001" if form.get("as") == "ram" else account,
                scopes=frozenset(form.get("scope", "").split()),
                until=self._world.now() + CODE_LIFE,
                redirect_uri=form["redirect_uri"],
                challenge=form.get("code_challenge", ""),
                nonce=form.get("nonce", ""),
            )
        joint = "&" if urlsplit(form["redirect_uri"]).query else "?"
        return web.Response(
            status=302,
            headers={"Location": form["redirect_uri"] + joint + urlencode(answer), "Referrer-Policy": "no-referrer"},
        )

    async def token(self, request: web.Request) -> web.Response:
        """Exchange a code for tokens, once."""
        form = {key: str(value) for key, value in (await request.post()).items()}
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if "Authorization" in request.headers:
            try:
                basic = BasicAuth.decode(request.headers["Authorization"])
            except ValueError:
                return self._refuse("invalid_client", 401)
            client, secret = basic.login, basic.password
        is_client = hmac.compare_digest(client, self._keys.oauth_client_id) and hmac.compare_digest(
            secret, self._keys.oauth_client_secret
        )
        if not is_client:
            return self._refuse("invalid_client", 401)
        grant = self._codes.pop(form.get("code", ""), None)
        if form.get("grant_type") != "authorization_code":
            return self._refuse("unsupported_grant_type")
        if grant is None or self._world.now() >= grant.until or grant.redirect_uri != form.get("redirect_uri"):
            return self._refuse("invalid_grant")
        if grant.challenge and not hmac.compare_digest(grant.challenge, _s256(form.get("code_verifier", ""))):
            return self._refuse("invalid_grant")
        token = secrets.token_urlsafe(32)
        now = self._world.now()
        self._tokens[token] = Grant(grant.account, grant.user, grant.scopes, now + TOKEN_LIFE)
        self._note("Token", 200, grant.account, pkce="S256" if grant.challenge else "")
        body: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        if "openid" in grant.scopes:
            body["id_token"] = self._id_token(grant)
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def userinfo(self, request: web.Request) -> web.Response:
        """The user's claims: `uid` is the user, `aid` the account that is billed."""
        grant = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if grant is None or self._world.now() >= grant.until:
            return self._refuse("invalid_token", 401)
        self._note("UserInfo", 200, grant.account)
        return web.json_response(self._claims(grant))

    async def keys(self, _request: web.Request) -> web.Response:
        """The public keys for checking signatures."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._signing.public_key()))
        return web.json_response({"keys": [{**key, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]})

    def _claims(self, grant: Grant) -> dict[str, str]:
        claims = {"sub": grant.user}
        if "aliuid" in grant.scopes:
            claims |= {"uid": grant.user, "aid": grant.account}
        if "profile" in grant.scopes:
            claims["name"] = self._world.directory.account(grant.account).name
        return claims

    def _id_token(self, grant: Grant) -> str:
        # Real time, because clients check it by their own clocks.
        now = datetime.now().astimezone()
        claims = {
            **self._claims(grant),
            "iss": self.issuer,
            "aud": self._keys.oauth_client_id,
            "iat": now,
            "exp": now + TOKEN_LIFE,
            **({"nonce": grant.nonce} if grant.nonce else {}),
        }
        return jwt.encode(claims, self._signing, algorithm="RS256", headers={"kid": KEY_ID})

    def _problem(self, params: Mapping[str, str]) -> str:
        """Why the authorization request is invalid; empty if it is valid. Only valid ones are redirected."""
        redirect = urlsplit(params.get("redirect_uri", ""))
        if not hmac.compare_digest(params.get("client_id", ""), self._keys.oauth_client_id):
            return "This application is not known here (client_id)."
        if redirect.scheme not in ("http", "https") or not _is_local(redirect.hostname or "", self.issuer):
            return "The application may not be answered there (redirect_uri)."
        if params.get("response_type") != "code" or "openid" not in params.get("scope", "").split():
            return "Only response_type=code with the scope openid is understood."
        if params.get("code_challenge") and params.get("code_challenge_method") != "S256":
            return "Only S256 is understood (code_challenge_method)."
        return ""

    def _refuse(self, error: str, status: int = 400) -> web.Response:
        self._note("Refused", status, "", code=error)
        return web.json_response({"error": error}, status=status)

    def _note(self, action: str, status: int, account: str, *, code: str = "", **params: str) -> None:
        self._world.call_log.add(
            at=self._world.now().isoformat(),
            service="oauth",
            region="",
            action=action,
            mutates=False,
            done=status == 200,
            status=status,
            code=code,
            account=account,
            principal="",
            subject="",
            fault="",
            params=params,
        )


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _is_local(host: str, issuer: str) -> bool:
    """Whether a host is loopback or the demo cloud's own host."""
    if host in ("localhost", urlsplit(issuer).hostname):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
