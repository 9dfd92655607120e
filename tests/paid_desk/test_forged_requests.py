"""Forged requests to the pages and the API of paid instances create nothing."""

from __future__ import annotations

import asyncio
import itertools

import httpx

from spawner.ledger.paid import consents, orders
from spawner.ledger.paid.rows import ConsentState
from tests.cloud.steer import Steer
from tests.paid_desk.forms import DESK, INSTANCE_TYPE, Browse, Browser
from tests.stack import Stack

EXPECTED = (303, 400, 403, 404, 405, 409)
"""Statuses of refused requests."""


def test_forged_requests_create_nothing(browse: Browse, cloud: Steer, account: str, stack: Stack) -> None:
    ann, eve = browse(), browse()
    binding = ann.link(account)
    consent = ann.ask(binding)
    since = cloud.last()
    accept = f"{DESK}paid/consents/{consent}/accept"
    api = f"{DESK}api/paid/consents/{consent}/accept"
    ask = f"{DESK}paid/new/{binding}/cn-hangzhou/{INSTANCE_TYPE}"
    terms = {"cap": "5", "currency": "CNY", "hours": "2", "idle": "30"}
    anns_token = ann.form("Approve and start")[0].fields["_xsrf"]
    eves_token = eve.form("Link")[0].fields["_xsrf"]
    cross = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    script = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}
    attempts: list[tuple[Browser, str, str, dict[str, str], dict[str, str]]] = [
        (ann, "GET", accept, {}, {}),
        (ann, "GET", f"{accept}?_xsrf={anns_token}&yes=1", {}, {}),
        (ann, "GET", f"{api}?_xsrf={anns_token}", {}, {}),
        (ann, "PUT", accept, {"_xsrf": anns_token}, {}),
        (ann, "HEAD", accept, {}, {}),
        (ann, "POST", accept, {}, {}),
        (ann, "POST", accept, {"_xsrf": ""}, {}),
        (ann, "POST", accept, {"_xsrf": "wrong"}, {}),
        (ann, "POST", accept, {"_xsrf": eves_token}, {}),
        (ann, "POST", accept, {}, cross),
        (ann, "POST", accept, {}, script),
        (ann, "POST", api, {}, {}),
        (ann, "POST", api, {}, {"X-XSRFToken": eves_token}),
        (ann, "POST", accept, {"_xsrf": anns_token}, {"Sec-Fetch-Mode": "cors"}),
        (eve, "POST", accept, {"_xsrf": anns_token}, {}),
        (eve, "POST", accept, {"_xsrf": eves_token}, {}),
        (eve, "POST", ask, terms | {"_xsrf": eves_token}, {}),
        (ann, "POST", f"{DESK}paid/consents/{'0' * 32}/accept", {"_xsrf": anns_token}, {}),
        (ann, "POST", f"{DESK}paid/consents/{consent}/start", {"_xsrf": anns_token}, {}),
        (ann, "POST", ask, terms | {"_xsrf": anns_token, "cap": "-1"}, {}),
        (ann, "POST", ask, terms | {"_xsrf": anns_token, "cap": "NaN"}, {}),
        (ann, "POST", ask, terms | {"_xsrf": anns_token, "currency": "USD"}, {}),
        (ann, "POST", ask, terms | {"_xsrf": anns_token, "hours": "1e9"}, {}),
        (ann, "POST", ask, terms | {"_xsrf": anns_token, "idle": "x"}, {}),
        (ann, "POST", ask.replace(INSTANCE_TYPE, "ecs.none"), terms | {"_xsrf": anns_token}, {}),
        (ann, "POST", ask.replace("hangzhou", "beijing"), terms | {"_xsrf": anns_token}, {}),
        (ann, "GET", f"{DESK}paid/instances/{consent}", {}, {}),
        (ann, "POST", f"{DESK}paid/instances/{consent}/delete", {"_xsrf": anns_token}, {}),
    ]

    async def send() -> list[httpx.Response]:
        limit = asyncio.Semaphore(4)
        clients = {
            one.user: httpx.AsyncClient(base_url=stack.url, cookies=one.client.cookies, timeout=60)
            for one in (ann, eve)
        }

        async def send_one(
            browser: Browser, method: str, path: str, form: dict[str, str], headers: dict[str, str]
        ) -> httpx.Response:
            async with limit:
                sent = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"} | headers
                body = {"data": form} if method in ("POST", "PUT") else {}
                return await clients[browser.user].request(method, path, headers=sent, **body)  # type: ignore[arg-type]

        answers = await asyncio.gather(
            *(send_one(*attempt) for attempt in itertools.islice(itertools.cycle(attempts), 200))
        )
        for client in clients.values():
            await client.aclose()
        return list(answers)

    answers = asyncio.run(send())
    assert len(answers) == 200
    unexpected = {
        (str(answer.request.url), answer.status_code) for answer in answers if answer.status_code not in EXPECTED
    }
    assert unexpected == set()
    assert not any(b"Traceback" in answer.content for answer in answers)
    assert stack.ledger.read(orders.of_person, stack.person_of(ann.user)) == []
    assert stack.ledger.read(consents.get, consent).state is ConsentState.OFFERED
    assert cloud.mutations(since=since) == []
