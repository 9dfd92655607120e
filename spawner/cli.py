"""The command `freepool`: runs what `cli_parser.py` has parsed."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spawner import logs
from spawner.catalog import load_catalog
from spawner.cli_parser import CATALOG_FILE, LOCAL_FILE, build_parser, state_folder
from spawner.errors import FreepoolError, SetupError
from spawner.instance.single_user import without_tables
from spawner.plain_text import log_plain_text, printable
from spawner.settings import SETTINGS_VARIABLE, Isolation, Settings, load_settings


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Errors of ours are printed as they are, and the exit code is 1."""
    options = build_parser().parse_args(arguments)
    log_plain_text()
    for chatty in ("alembic", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        logs.set_up()
        _COMMANDS[options.command](options)
    except FreepoolError as error:
        sys.stderr.write(f"freepool: {printable(str(error))}\n")
        raise SystemExit(1) from None


def _up(options: argparse.Namespace) -> None:
    with _imports_that_stay():
        from spawner.local.fork_server import ForkServer
        from spawner.local.preflight import port_number, read_local_file
        from spawner.local.up import prepare, up

        # Its client is large: the supervisor needs it as well.
        more = ["spawner.pool.backends.kubernetes.backend"] if "kubernetes" in read_local_file(options.settings) else []
        for module in more:
            importlib.import_module(module)
    port = port_number(options.port)
    fork_server = ForkServer.fork(main, more=more)
    try:
        installation = prepare(
            local_file=options.settings,
            state=options.state,
            port=port,
            isolation=Isolation.NONE if options.unsafe_no_sandbox else Isolation.BUBBLEWRAP,
            catalog=options.catalog,
            ledger_url=options.ledger,
            demo_cloud=options.demo_cloud,
        )
    except BaseException:
        if fork_server is not None:
            fork_server.close()
        raise
    asyncio.run(up(installation, fork_server))


def _check(options: argparse.Namespace) -> None:
    named = os.environ.get(SETTINGS_VARIABLE)
    if named and options.catalog is None and options.settings is None:
        from spawner.cli_check import run

        run(
            Path(named),
            lambda text: sys.stdout.write(printable(text)),
            hub_file=options.hub_file,
            database=not options.no_database,
            wait=options.wait,
        )
        return
    path = options.catalog or CATALOG_FILE
    settings = options.settings or (LOCAL_FILE if options.catalog is None and LOCAL_FILE.exists() else None)
    if settings is not None:
        from spawner.local.preflight import check_settings

        check_settings(settings, options.state)
        sys.stdout.write(f"{settings}: no mistakes.\n")
    catalog = load_catalog(path)
    sys.stdout.write(
        f"{path}: {len(catalog.flavors)} flavors, {len(catalog.images)} images, "
        f"{len(catalog.examples)} examples, no mistakes.\n"
    )


def _settings(options: argparse.Namespace) -> Settings:
    named = options.state is None and os.environ.get(SETTINGS_VARIABLE)  # on a cluster, where no folder has them
    return load_settings() if named else load_settings((options.state or state_folder()) / "settings.json")


def _link(options: argparse.Namespace) -> None:
    from spawner.hub.login.link import end_of, login_link

    settings = _settings(options)
    if settings.login.has_provider:
        raise SetupError(
            "Login links are not valid here: users sign in with {title}.",
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
    from spawner.ledger.migrate import make_schema, migrate_when_it_answers

    settings = load_settings()
    engine = make_engine(settings.ledger)
    migrate_when_it_answers(engine, within=options.wait)
    if settings.hub_schema is not None:
        make_schema(engine, settings.hub_schema)


def _warm(options: argparse.Namespace) -> None:
    from spawner.cli_warm import run

    run(_settings(options), options, lambda text: sys.stdout.write(printable(text)))


def _status(options: argparse.Namespace) -> None:
    from spawner.cli_status import run

    run(_settings(options), options, lambda text: sys.stdout.write(printable(text)))


def _people(options: argparse.Namespace) -> None:
    from spawner.cli_people import run

    run(_settings(options), options, lambda text: sys.stdout.write(printable(text)))


def _traffic(options: argparse.Namespace) -> None:
    from spawner.cli_traffic import run

    run(_settings(options), options, lambda text: sys.stdout.write(printable(text)))


def _invitations(options: argparse.Namespace) -> None:
    from spawner.cli_invitations import run

    run(
        _settings(options),
        options,
        lambda text: sys.stdout.write(printable(text)),
        lambda text: sys.stderr.write(f"freepool: {printable(text)}\n"),
    )


def _channels(options: argparse.Namespace) -> None:
    from spawner.cli_channels import run

    run(_settings(options), options, lambda text: sys.stdout.write(printable(text)))


def _grants(options: argparse.Namespace) -> None:
    from spawner.cli_grant import run

    run(_settings(options), options, lambda text: sys.stdout.write(printable(text)))


def _models(options: argparse.Namespace) -> None:
    from spawner.cli_models import run

    run(options, lambda text: (sys.stdout.write(printable(text)), sys.stdout.flush()))


def _examples(options: argparse.Namespace) -> None:
    from spawner.cli_examples import run

    run(options, lambda text: (sys.stdout.write(printable(text)), sys.stdout.flush()))


def _demo_cloud(options: argparse.Namespace) -> None:
    from spawner.demo_cloud.__main__ import run

    run(options)


@contextmanager
def _imports_that_stay() -> Iterator[None]:
    """Imports of a program that runs for long: the garbage collector need not look at them, neither now nor later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _desk(_: argparse.Namespace) -> None:
    with _imports_that_stay(), without_tables():
        from spawner.desk.app import run

    asyncio.run(run(load_settings()))


def _steward(_: argparse.Namespace) -> None:
    with _imports_that_stay():
        from spawner.steward.runner import run

    asyncio.run(run(load_settings()))


_COMMANDS = {
    "up": _up,
    "check": _check,
    "link": _link,
    "new-login-key": _new_login_key,
    "migrate": _migrate,
    "warm": _warm,
    "status": _status,
    **dict.fromkeys(("ban", "unban", "bans", "groups", "export", "forget"), _people),
    "traffic": _traffic,
    **dict.fromkeys(("invite", "invitations", "revoke-invitation", "trust"), _invitations),
    "channel": _channels,
    **dict.fromkeys(("grant", "refund", "allowance"), _grants),
    "models": _models,
    "examples": _examples,
    "demo-cloud": _demo_cloud,
    "desk": _desk,
    "steward": _steward,
}

if __name__ == "__main__":
    main()
