"""The command `freepool`."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
import os
import sys
from pathlib import Path
from typing import Any

from spawner import __version__
from spawner.catalog import load_catalog
from spawner.demo_cloud.settings import add_options as add_demo_options
from spawner.errors import FreepoolError, SetupError
from spawner.plain_text import log_plain_text, printable
from spawner.settings import SETTINGS_VARIABLE, Isolation, Settings, load_settings

LOCAL_FILE = Path("hub_config/local.yaml")
CATALOG_FILE = Path("hub_config/catalog.yaml")


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="freepool", description="Starts free, ephemeral notebooks.")
    parser.add_argument("--version", action="version", version=f"freepool {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run everything on this machine, in the foreground")
    up.add_argument("--settings", type=Path, default=LOCAL_FILE, help="settings for one machine (%(default)s)")
    up.add_argument("--port", default=os.environ.get("PORT") or "8000", help="public port, or PORT (8000)")
    up.add_argument("--state", type=Path, default=_state(), help="state folder, or STATE (.freepool)")
    up.add_argument("--catalog", type=Path, help="another catalog than the settings name")
    up.add_argument("--ledger", help="SQLAlchemy URL of the ledger (default: SQLite in the state folder)")
    up.add_argument("--unsafe-no-sandbox", action="store_true", help="run instances without bubblewrap: no isolation")
    up.add_argument(
        "--demo-cloud",
        action="store_true",
        default=bool(os.environ.get("DEMO_CLOUD")),
        help="offer paid instances in a stand-in cloud on this machine: no account, no real money (or DEMO_CLOUD=1)",
    )
    check = commands.add_parser("check", help="check the catalog and report every mistake")
    check.add_argument("catalog", type=Path, nargs="?", default=CATALOG_FILE)
    link = commands.add_parser("link", help="print a link that logs a user in")
    link.add_argument("user", nargs="?", default=getpass.getuser())
    link.add_argument("--days", type=_days, help="days until it expires (default: login.link_days in the settings: 7)")
    link.add_argument("--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)")
    key = commands.add_parser("new-login-key", help="encrypt what is kept about logins with a new key; then restart")
    key.add_argument("--state", type=Path, default=_state(), help="state folder, or STATE (.freepool)")
    migrate = commands.add_parser("migrate", help="bring the ledger that the settings name to this version")
    migrate.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="give a database time that does not answer yet"
    )
    warm = commands.add_parser("warm", help="list what is kept warm, and change floors and plans")
    warm.add_argument("--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)")
    _add_warm(warm)
    _add_people(commands)
    add_demo_options(commands.add_parser("demo-cloud", help="run the stand-in cloud alone"))
    commands.add_parser("desk", help="run the desk (a JupyterHub service)")
    commands.add_parser("steward", help="run the steward (a JupyterHub service)")
    return parser


def _add_people(commands: Any) -> None:
    ban = commands.add_parser("ban", help="ban a person: what is free of theirs ends, paid instances are stopped")
    ban.add_argument("--code", default="other", help="mining, attack, spam, evasion or other (%(default)s)")
    ends = ban.add_mutually_exclusive_group(required=True)
    ends.add_argument("--days", type=float, metavar="N", help="until so many days from now")
    ends.add_argument("--for-good", action="store_true", help="without an end")
    ban.add_argument("--evidence", default="", help="what shows it; kept for operators")
    ban.add_argument("--note", default="", help="for operators")
    ban.add_argument("--appeal", default="", help="how to appeal, shown to the person (write to the operator)")
    ban.add_argument("--myself", action="store_true", help="also where it is the user who runs this command")
    unban = commands.add_parser("unban", help="lift all bans of a person")
    listing = commands.add_parser("bans", help="list bans")
    listing.add_argument("--all", action="store_true", help="also those that have ended or were lifted")
    grouped = commands.add_parser("groups", help="list a person's groups, or set those that an operator gives")
    grouped.add_argument("--set", nargs="*", metavar="GROUP", help="the groups; without one, none")
    exported = commands.add_parser("export", help="print all rows of a person, as JSON")
    forget = commands.add_parser("forget", help="remove what may go of a person; says first what stays, and why")
    forget.add_argument("--yes", action="store_true", help="do it")
    forget.add_argument(
        "--account-is-gone",
        action="store_true",
        help="JupyterHub has no such user any more, although the ledger says that it has",
    )
    for parser in (ban, unban, grouped, exported, forget):
        parser.add_argument("person", metavar="USER", help="name in JupyterHub, or the id of a person")
    for parser in (ban, unban, listing, grouped, exported, forget):
        parser.add_argument(
            "--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)"
        )


def _add_warm(warm: argparse.ArgumentParser) -> None:
    changes = warm.add_subparsers(dest="change")
    plan = changes.add_parser("plan", help="have slots warm at a time, such as for a class")
    plan.add_argument("name", metavar="NAME")
    floor = changes.add_parser("floor", help="have at least so many warm, from now on")
    for parser in (plan, floor):
        parser.add_argument("--flavor", required=True)
        parser.add_argument("--image", required=True)
    plan.add_argument("--slots", required=True, metavar="N", help="how many")
    plan.add_argument("--begins", required=True, metavar="TIME", help="2026-11-23T09:00; local, unless a zone is said")
    plan.add_argument("--ends", required=True, metavar="TIME")
    plan.add_argument("--weekly", action="store_true", help="again every seven days")
    floor.add_argument("slots", metavar="N|catalog", help="how many; catalog: as the catalog says")
    changes.add_parser("unplan", help="remove a plan").add_argument("name", metavar="NAME")


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= 366:
        raise ValueError
    return days


def _state() -> Path:
    return Path(os.environ.get("STATE") or ".freepool")


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Errors of ours are printed as they are, and the exit code is 1."""
    options = build_parser().parse_args(arguments)
    log_plain_text()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for chatty in ("alembic", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        _COMMANDS[options.command](options)
    except FreepoolError as error:
        sys.stderr.write(f"freepool: {printable(str(error))}\n")
        raise SystemExit(1) from None


def _up(options: argparse.Namespace) -> None:
    from spawner.local.preflight import port_number
    from spawner.local.up import prepare, up

    installation = prepare(
        local_file=options.settings,
        state=options.state,
        port=port_number(options.port),
        isolation=Isolation.NONE if options.unsafe_no_sandbox else Isolation.BUBBLEWRAP,
        catalog=options.catalog,
        ledger_url=options.ledger,
        demo_cloud=options.demo_cloud,
    )
    asyncio.run(up(installation))


def _check(options: argparse.Namespace) -> None:
    catalog = load_catalog(options.catalog)
    sys.stdout.write(
        f"{options.catalog}: {len(catalog.flavors)} flavors, {len(catalog.images)} images, "
        f"{len(catalog.examples)} examples, no mistakes.\n"
    )


def _settings(options: argparse.Namespace) -> Settings:
    named = options.state is None and os.environ.get(SETTINGS_VARIABLE)  # on a cluster, where no folder has them
    return load_settings() if named else load_settings((options.state or _state()) / "settings.json")


def _link(options: argparse.Namespace) -> None:
    from spawner.hub.login.link import end_of, login_link

    settings = _settings(options)
    if settings.login.has_provider:
        raise SetupError(
            "People log in by {title} here, so links are not valid.",
            next_step="Open {url}, or set login.kind to links.",
            title=settings.login.title,
            url=settings.public_url,
        )
    days = options.days or settings.login.link_days
    sys.stdout.write(login_link(settings.public_url, settings.secret("link"), options.user, days=days) + "\n")
    sys.stderr.write(f"freepool: the link is good until {end_of(days)}\n")


def _new_login_key(options: argparse.Namespace) -> None:
    from spawner.hub.login import crypt_keys
    from spawner.local.secrets import write_secret

    path = options.state / "secrets" / crypt_keys.NAME
    try:
        write_secret(path, crypt_keys.rotate(path.read_text()))
    except OSError as error:
        raise SetupError(
            "The keys in {path} cannot be changed: {why}.",
            next_step="Name the state folder with --state; on a cluster see docs/login.md.",
            path=path,
            why=error.strerror,
        ) from None
    sys.stdout.write("There is a new key. Restart Freepool, or its hub, to use it.\n")


def _migrate(options: argparse.Namespace) -> None:
    from spawner.ledger.engine import make_engine
    from spawner.ledger.migrate import migrate_when_it_answers

    migrate_when_it_answers(make_engine(load_settings().ledger), within=options.wait)


def _warm(options: argparse.Namespace) -> None:
    from spawner.cli_warm import run

    run(_settings(options), options, lambda text: sys.stdout.write(printable(text)))


def _people(options: argparse.Namespace) -> None:
    from spawner.cli_people import run

    run(_settings(options), options, lambda text: sys.stdout.write(printable(text)))


def _demo_cloud(options: argparse.Namespace) -> None:
    from spawner.demo_cloud.__main__ import run

    run(options)


def _desk(_: argparse.Namespace) -> None:
    from spawner.desk.app import run

    asyncio.run(run(load_settings()))


def _steward(_: argparse.Namespace) -> None:
    from spawner.steward.runner import run

    asyncio.run(run(load_settings()))


_COMMANDS = {
    "up": _up,
    "check": _check,
    "link": _link,
    "new-login-key": _new_login_key,
    "migrate": _migrate,
    "warm": _warm,
    **dict.fromkeys(("ban", "unban", "bans", "groups", "export", "forget"), _people),
    "demo-cloud": _demo_cloud,
    "desk": _desk,
    "steward": _steward,
}

if __name__ == "__main__":
    main()
