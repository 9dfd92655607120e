"""Mail through a real SMTP server: encryption, login, and what each refusal means."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from spawner.channel_settings import MailServer
from spawner.channels import mail
from spawner.channels.mail import MailSender
from spawner.channels.texts import Letter
from spawner.channels.undelivered import Failure, Undelivered
from tests.channels.servers import PASSWORD, USER, MailBox, mail_server, rude_server, silent_server
from tests.unit.make import NOW

ANN = "ann@example.org"
LETTER = Letter("m1", "en", "Subject", "Summary", "Text, 中文.\n", NOW, "https://lab/", "https://lab/unsubscribe")


def sender(port: int, *, password: str | None = None, ca_file: Path | None = None, **changes: Any) -> MailSender:
    given = {"host": "localhost", "port": port, "security": "none", "sender": "lab@example.org"} | changes
    return MailSender(MailServer.model_validate(given), password, ca_file=ca_file)


async def failure(found: MailSender) -> Undelivered:
    with pytest.raises(Undelivered) as caught:
        await found.send(LETTER, ANN)
    return caught.value


async def test_the_server_gets_the_mail(box: MailBox) -> None:
    await sender(box.port).send(LETTER, ANN)
    (got,) = box.mails
    assert (got["Subject"], got["To"], got["From"]) == ("Subject", ANN, "Freepool <lab@example.org>")
    assert got["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert got.get_content().replace("\r\n", "\n") == LETTER.text
    assert box.recipients == [ANN]


async def test_encryption_and_login(certificate: tuple[Path, ssl.SSLContext]) -> None:
    ca_file, context = certificate
    with mail_server(context) as box:
        safe: dict[str, Any] = {"security": "starttls", "user": USER, "ca_file": ca_file}
        await sender(box.port, password=PASSWORD, **safe).send(LETTER, ANN)
        assert len(box.mails) == 1
        wrong = await failure(sender(box.port, password="wrong", **safe))
        assert (wrong.failure, wrong.is_final) == (Failure.LOGIN, False)
        untrusted = await failure(sender(box.port, password=PASSWORD, security="starttls", user=USER))
        assert untrusted.failure is Failure.TLS
        assert len(box.mails) == 1


async def test_no_mail_goes_to_a_server_without_the_encryption_that_was_set(box: MailBox, ca_file: Path) -> None:
    refused = await failure(sender(box.port, security="starttls", ca_file=ca_file))
    assert refused.failure is Failure.TLS
    assert box.mails == []


@pytest.mark.parametrize(
    ("answer", "expected", "is_final"),
    [
        ("550 5.1.1 no such user", Failure.NO_MAILBOX, True),
        ("550 5.7.1 relaying denied", Failure.REFUSED, False),
        ("451 4.7.1 greylisted, try again", Failure.REFUSED, False),
    ],
)
async def test_a_refused_address_is_final_only_where_it_does_not_exist(
    box: MailBox, answer: str, expected: Failure, is_final: bool
) -> None:
    box.answer = answer
    refused = await failure(sender(box.port))
    assert (refused.failure, refused.is_final) == (expected, is_final)
    assert refused.details == answer
    assert refused.detail == f"{expected}: {answer}"


async def test_a_refused_text_is_tried_again(box: MailBox) -> None:
    box.answer_to_data = "554 5.3.0 looks like spam"
    refused = await failure(sender(box.port))
    assert (refused.failure, refused.is_final) == (Failure.REFUSED, False)


async def test_a_server_that_is_away_or_hangs_up_is_unreachable() -> None:
    with silent_server() as port:
        pass
    assert (await failure(sender(port))).failure is Failure.UNREACHABLE
    for greets in (False, True):
        with rude_server(greets=greets) as port:
            assert (await failure(sender(port))).failure is Failure.UNREACHABLE


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "SECONDS", 0.2)
    with silent_server() as port:
        assert (await failure(sender(port))).failure is Failure.SLOW
