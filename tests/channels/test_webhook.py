"""Webhooks: signed, over HTTPS, to public addresses only, without redirects."""

from __future__ import annotations

import base64
import hmac
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from spawner.channel_settings import ChannelSettings
from spawner.channels import webhook
from spawner.channels.keys import ChannelKeys
from spawner.channels.undelivered import Failure, Undelivered
from spawner.channels.webhook import WebhookSender
from spawner.ledger.channels.rows import Channel, ChannelKind
from tests.channels.servers import Receiver, silent_server
from tests.unit.make import NOW

KEYS = ChannelKeys("secret")
BODY = {"type": "test", "text": "中文"}


class Names(AbstractResolver):
    """Resolves names as a test says, one list of addresses for each question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0) for one in found
        ]

    async def close(self) -> None:
        pass


def channel(url: str) -> Channel:
    return Channel("c1", "ann", ChannelKind.WEBHOOK, url, "en", [], NOW, None, None, confirmed_at=NOW)


async def send(url: str, ca_file: Path, resolver: AbstractResolver | None = None, **settings: Any) -> None:
    given = ChannelSettings(webhooks=True, ca_file=ca_file, **settings)
    await WebhookSender(given, KEYS, resolver=resolver).send(channel(url), "m1", BODY, timestamp=1_700_000_000)


async def failure(*arguments: Any, **settings: Any) -> Failure:
    with pytest.raises(Undelivered) as caught:
        await send(*arguments, **settings)
    return caught.value.failure


async def test_the_receiver_can_check_who_sent_it(receiver: Receiver, ca_file: Path) -> None:
    await send(receiver.url, ca_file, private_addresses=True)
    ((headers, body),) = receiver.requests
    assert json.loads(body) == BODY
    assert headers["content-type"] == "application/json"
    # As https://www.standardwebhooks.com tells receivers to do it, from the secret that the page shows.
    secret = base64.b64decode(KEYS.webhook_secret("c1").removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    version, signature = headers["webhook-signature"].split(",")
    assert (version, headers["webhook-id"], headers["webhook-timestamp"]) == ("v1", "m1", "1700000000")
    assert base64.b64decode(signature) == hmac.digest(secret, signed, "sha256")
    assert KEYS.webhook_secret("c2") != KEYS.webhook_secret("c1")


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["10.0.0.1"], ["169.254.169.254"]])
async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(
    receiver: Receiver, ca_file: Path, addresses: list[str]
) -> None:
    port = urlsplit(receiver.url).port
    assert await failure(f"https://hooks.example.org:{port}/", ca_file, Names(addresses)) is Failure.PRIVATE
    assert receiver.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_nor_is_this_machine(receiver: Receiver, ca_file: Path, host: str) -> None:
    port = urlsplit(receiver.url).port
    assert await failure(f"https://{host}:{port}/hook", ca_file) is Failure.PRIVATE
    assert receiver.requests == []


async def test_a_name_whose_address_changes_between_two_looks_gains_nothing(receiver: Receiver, ca_file: Path) -> None:
    """Whatever a look before said, the address that is connected to counts."""
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    await names.resolve("hooks.example.org")
    port = urlsplit(receiver.url).port
    assert await failure(f"https://hooks.example.org:{port}/", ca_file, names) is Failure.PRIVATE
    assert receiver.requests == []


async def test_a_redirect_is_not_followed(receiver: Receiver, ca_file: Path) -> None:
    receiver.status, receiver.location = 307, receiver.url + "/other"
    assert await failure(receiver.url, ca_file, private_addresses=True) is Failure.REDIRECT
    assert len(receiver.requests) == 1


async def test_an_error_is_one(receiver: Receiver, ca_file: Path) -> None:
    receiver.status = 500
    assert await failure(receiver.url, ca_file, private_addresses=True) is Failure.STATUS


async def test_a_long_answer_is_not_read_to_its_end(receiver: Receiver, ca_file: Path) -> None:
    receiver.status, receiver.answer = 200, b"x" * 5_000_000
    await send(receiver.url, ca_file, private_addresses=True)
    assert len(receiver.requests) == 1


async def test_a_slow_receiver_is_given_up(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.2)
    with silent_server() as port:
        assert await failure(f"https://localhost:{port}/", ca_file, private_addresses=True) is Failure.SLOW


async def test_a_certificate_of_nobody_is_refused(receiver: Receiver) -> None:
    sender = WebhookSender(ChannelSettings(webhooks=True, private_addresses=True), KEYS)
    with pytest.raises(Undelivered) as caught:
        await sender.send(channel(receiver.url), "m1", BODY, timestamp=0)
    assert caught.value.failure is Failure.TLS
    assert receiver.requests == []


async def test_a_host_that_was_taken_from_the_list_gets_nothing_more(receiver: Receiver, ca_file: Path) -> None:
    found = await failure(receiver.url, ca_file, private_addresses=True, webhook_hosts=("hooks.example.org",))
    assert found is Failure.HOST
    assert receiver.requests == []


async def test_an_address_where_nobody_listens_is_unreachable(ca_file: Path) -> None:
    with silent_server() as port:
        pass
    assert await failure(f"https://localhost:{port}/", ca_file, private_addresses=True) is Failure.UNREACHABLE
