"""Sends mail through the platform's SMTP server: one connection for each message."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

import aiosmtplib

from spawner.channel_settings import MailSecurity, MailServer
from spawner.channels.texts import Letter
from spawner.channels.trust import trusted_by
from spawner.channels.undelivered import Failure, Undelivered

SECONDS = 30
"""For one message, from the connection to the server's answer to it."""
STEP_SECONDS = 15
"""For one answer of the server."""
QUIT_SECONDS = 2
NO_SUCH_MAILBOX = (550, 551, 553)
POLICY_MARK = "5.7."
"""Enhanced status codes of refusals that are about the sender (RFC 3463): relaying is denied, say."""


class MailSender:
    """Sends letters. `password` goes with the server's user."""

    def __init__(self, server: MailServer, password: str | None, *, ca_file: Path | None) -> None:
        self._server = server
        self._password = password
        self._trusted = trusted_by(ca_file)

    @property
    def connections(self) -> int:
        """How many letters the caller may send at once."""
        return self._server.connections

    async def send(self, letter: Letter, address: str) -> None:
        """Hand a letter to the server. Raises `Undelivered`."""
        message = as_mail(letter, self._server, address)
        try:
            async with asyncio.timeout(SECONDS):
                await self._hand_over(message, address)
        except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
            raise undelivered(error) from None

    async def _hand_over(self, message: EmailMessage, address: str) -> None:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.actual_port,
            username=server.user,
            password=self._password,
            timeout=STEP_SECONDS,
            use_tls=server.security is MailSecurity.TLS,
            start_tls=server.security is MailSecurity.STARTTLS,
            tls_context=self._trusted,
        )
        try:
            await client.connect()
            await client.send_message(message, sender=server.sender, recipients=[address])
            with suppress(aiosmtplib.SMTPException, OSError):  # the mail is taken, whatever follows
                await client.quit(timeout=QUIT_SECONDS)
        finally:
            client.close()


def as_mail(letter: Letter, server: MailServer, address: str) -> EmailMessage:
    """The letter as plain-text mail."""
    mail = EmailMessage()
    local, _, domain = server.sender.rpartition("@")
    mail["From"] = Address(server.sender_name, username=local, domain=domain)
    mail["To"] = address
    if server.reply_to:
        mail["Reply-To"] = server.reply_to
    mail["Subject"] = letter.subject
    mail["Date"] = format_datetime(letter.made_at)
    mail["Message-ID"] = f"<{letter.message_id}@{domain}>"  # the same at each try, so that a copy is recognized
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["Content-Language"] = letter.language
    if letter.unsubscribe_url:
        mail["List-Unsubscribe"] = f"<{letter.unsubscribe_url}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(letter.text)
    return mail


def undelivered(error: Exception) -> Undelivered:
    """What an error of the SMTP client or of the network means."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            return undelivered(error.recipients[0])
        case aiosmtplib.SMTPRecipientRefused():
            is_final = error.code in NO_SUCH_MAILBOX and POLICY_MARK not in error.message
            failure = Failure.NO_MAILBOX if is_final else Failure.REFUSED
            return Undelivered(failure, f"{error.code} {error.message}", is_final=is_final)
        case aiosmtplib.SMTPAuthenticationError():
            return Undelivered(Failure.LOGIN, f"{error.code} {error.message}")
        case aiosmtplib.SMTPNotSupported():
            return Undelivered(Failure.TLS, error)
        case aiosmtplib.SMTPResponseException():
            return Undelivered(Failure.REFUSED, f"{error.code} {error.message}")
        case TimeoutError():  # also the client's own timeouts
            return Undelivered(Failure.SLOW)
        case ssl.SSLError():
            return Undelivered(Failure.TLS, error)
    if isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error) or "TLS" in str(error):
        return Undelivered(Failure.TLS, error)
    return Undelivered(Failure.UNREACHABLE, error or type(error).__name__)
