"""`freepool channel test` and `unblock`: messages to users, from a terminal."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from datetime import datetime

from spawner.channel_settings import is_mail_address
from spawner.channels.keys import SECRET, ChannelKeys
from spawner.channels.mail import MailSender
from spawner.channels.texts import Letter
from spawner.channels.undelivered import WORDS, Undelivered
from spawner.errors import BadOption, SetupError
from spawner.ledger import open_ledger
from spawner.ledger.channels import channels
from spawner.ledger.channels.rows import ChannelKind
from spawner.pool.build import new_id, utc_now
from spawner.settings import Settings

Say = Callable[[str], object]


def run(settings: Settings, options: argparse.Namespace, say: Say) -> None:
    """Do what `options` ask for. Raises `BadOption` and `SetupError`."""
    if not is_mail_address(options.address):
        raise BadOption("This is not a mail address.", next_step="Enter one like name@example.org.")
    if options.change == "test":
        asyncio.run(send_test(settings, options.address, now=utc_now()))
        say(f"The mail server has taken a message to {options.address}.\n")
        return
    keys = ChannelKeys(settings.secret(SECRET))
    ledger = open_ledger(settings.ledger)
    try:
        found = ledger.write(channels.unblock, keys.digest(ChannelKind.EMAIL, options.address))
    finally:
        ledger.close()
    say(f"{options.address} can be entered again.\n" if found else f"{options.address} was not blocked.\n")


async def send_test(settings: Settings, address: str, *, now: datetime) -> None:
    """Send a message by the mail server of the settings. Raises `SetupError`, with the server's own words."""
    server = settings.channels.mail
    if server is None:
        raise SetupError("No mail server is set.", next_step="Set channels.mail in the settings; docs/channels.md.")
    sender = MailSender(server, server.password(settings.state / "secrets"), ca_file=settings.channels.ca_file)
    letter = Letter(
        message_id=new_id(),
        language="en",
        subject="Test message from Freepool",
        summary="",
        text=f"The mail server works: an administrator of {settings.public_url} has sent this as a test.\n",
        made_at=now,
        url=settings.public_url,
    )
    try:
        await sender.send(letter, address)
    except Undelivered as error:
        raise SetupError(
            "The message was not taken by {host}:{port}: {what}",
            next_step="Check channels.mail in the settings, and that this machine may connect to the server.",
            host=server.host,
            port=server.actual_port,
            what=WORDS[error.failure],
            details=error.details,
        ) from None
