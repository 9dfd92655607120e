"""The commands of `freepool` and their options."""

from __future__ import annotations

import argparse
import getpass
import os
from pathlib import Path
from typing import Any

from spawner import __version__
from spawner.demo_cloud.settings import add_options as add_demo_options
from spawner.settings import SETTINGS_VARIABLE

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
    up.add_argument("--state", type=Path, default=state_folder(), help="state folder, or STATE (.freepool)")
    up.add_argument("--catalog", type=Path, help="use this catalog instead of the one in the settings")
    up.add_argument("--ledger", help="SQLAlchemy URL of the database (default: SQLite in the state folder)")
    up.add_argument("--unsafe-no-sandbox", action="store_true", help="run notebooks without bubblewrap: no isolation")
    up.add_argument(
        "--demo-cloud",
        action="store_true",
        default=bool(os.environ.get("DEMO_CLOUD")),
        help="offer paid notebooks in a simulated cloud on this machine: no account, no real money (or DEMO_CLOUD=1)",
    )
    check = commands.add_parser("check", help="check the catalog and report every mistake; check the settings")
    check.add_argument("catalog", type=Path, nargs="?", help=f"default: {CATALOG_FILE}")
    check.add_argument("--settings", type=Path, help=f"settings for one machine (without a catalog: {LOCAL_FILE})")
    check.add_argument("--state", type=Path, default=state_folder(), help="state folder, or STATE (.freepool)")
    check.add_argument("--hub-file", type=Path, help="where the environment names settings: the hub's own file, too")
    check.add_argument("--no-database", action="store_true", help="do not look at the database of those settings")
    check.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="wait so long for that database")
    link = commands.add_parser("link", help="print a link that logs a user in")
    link.add_argument("user", nargs="?", default=getpass.getuser())
    link.add_argument("--days", type=_days, help="days until it expires (default: login.link_days in the settings: 7)")
    link.add_argument("--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)")
    key = commands.add_parser("new-login-key", help="encrypt stored login data with a new key; restart afterwards")
    key.add_argument("--state", type=Path, default=state_folder(), help="state folder, or STATE (.freepool)")
    migrate = commands.add_parser("migrate", help="migrate the database that is named in the settings to this version")
    migrate.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="wait up to this long for the database"
    )
    warm = commands.add_parser("warm", help="list warm notebooks, and change minimums and plans")
    warm.add_argument("--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)")
    _add_warm(warm)
    status = commands.add_parser("status", help="say what runs, what is full and why, and what failed")
    status.add_argument("--who", action="store_true", help="also list who runs what")
    status.add_argument("--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)")
    _add_people(commands)
    _add_traffic(commands)
    _add_invitations(commands)
    _add_channels(commands)
    _add_grants(commands)
    _add_models(commands)
    add_demo_options(commands.add_parser("demo-cloud", help="run only the simulated cloud"))
    commands.add_parser("desk", help="run the desk (a JupyterHub service)")
    commands.add_parser("steward", help="run the steward (a JupyterHub service)")
    return parser


def _add_people(commands: Any) -> None:
    ban = commands.add_parser("ban", help="ban a user: stops their free and paid notebooks")
    ban.add_argument("--code", default="other", help="mining, attack, spam, evasion or other (%(default)s)")
    ends = ban.add_mutually_exclusive_group(required=True)
    ends.add_argument("--days", type=float, metavar="N", help="end the ban after N days")
    ends.add_argument("--for-good", action="store_true", help="permanent")
    ban.add_argument("--evidence", default="", help="evidence, visible to administrators only")
    ban.add_argument("--note", default="", help="note, visible to administrators only")
    ban.add_argument("--appeal", default="", help="how to appeal, shown to the user (contact an administrator)")
    ban.add_argument("--myself", action="store_true", help="also where it is the user who runs this command")
    unban = commands.add_parser("unban", help="lift all bans of a user")
    listing = commands.add_parser("bans", help="list bans")
    listing.add_argument("--all", action="store_true", help="include bans that have ended or were lifted")
    grouped = commands.add_parser(
        "groups", help="list a user's groups, or set the groups that an administrator assigns"
    )
    grouped.add_argument("--set", nargs="*", metavar="GROUP", help="the groups; without a group, removes all")
    exported = commands.add_parser("export", help="print all rows of a person, as JSON")
    forget = commands.add_parser("forget", help="remove what may go of a person; says first what stays, and why")
    forget.add_argument("--yes", action="store_true", help="do it")
    forget.add_argument(
        "--account-is-gone",
        action="store_true",
        help="JupyterHub has no such user any more, although the ledger says that it has",
    )
    for parser in (ban, unban, grouped, exported, forget):
        parser.add_argument("person", metavar="USER", help="name in JupyterHub, or id of the person")
    for parser in (ban, unban, listing, grouped, exported, forget):
        parser.add_argument(
            "--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)"
        )


def _add_traffic(commands: Any) -> None:
    traffic = commands.add_parser("traffic", help="say whose notebook used an address at a time")
    traffic.add_argument("address", metavar="ADDRESS[:PORT]", help="an IP address that was reached, or a pod's own")
    traffic.add_argument("--at", metavar="TIME", help="2026-11-23T09:00; local, unless a zone is said")
    traffic.add_argument("--minutes", type=float, default=5, help="how exact that time is (%(default)s)")
    traffic.add_argument("--user", help="only this name in JupyterHub, or id of a person")
    traffic.add_argument("--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)")


def _add_invitations(commands: Any) -> None:
    invite = commands.add_parser("invite", help="print an invitation link for one new account")
    invite.add_argument(
        "--level", "--class", dest="trust", default="known", help="account level: new, known or trusted (%(default)s)"
    )
    invite.add_argument("--group", action="append", default=[], help="a group for the user; can be repeated")
    invite.add_argument("--days", type=float, default=7, help="days until it expires (%(default)s)")
    invite.add_argument("--note", default="", help="note, visible to administrators only")
    listing = commands.add_parser("invitations", help="list open invitations")
    listing.add_argument("--all", action="store_true", help="include used, expired and revoked invitations")
    revoke = commands.add_parser("revoke-invitation", help="revoke an invitation")
    revoke.add_argument("invitation", metavar="ID", help="id that `freepool invitations` lists")
    trust = commands.add_parser("trust", help="show or set the account level of a user: new, known or trusted")
    trust.add_argument("person", metavar="USER", help="name in JupyterHub, or id of the person")
    trust.add_argument(
        "trust", metavar="LEVEL", nargs="?", help="new, known or trusted; auto: follow the rules in the settings"
    )
    for parser in (invite, listing, revoke, trust):
        parser.add_argument(
            "--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)"
        )


def _add_channels(commands: Any) -> None:
    channel = commands.add_parser("channel", help="messages to users who have no page open")
    changes = channel.add_subparsers(dest="change", required=True)
    test = changes.add_parser("test", help="send a message by the mail server of the settings")
    unblock = changes.add_parser("unblock", help="let an address be entered again whose owner did not want it")
    for parser in (test, unblock):
        parser.add_argument("address", metavar="ADDRESS")
        parser.add_argument(
            "--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)"
        )


def _add_grants(commands: Any) -> None:
    grant = commands.add_parser("grant", help="give a user hours of a class, or take some away")
    grant.add_argument("person", metavar="USER", help="name in JupyterHub, or id of the person")
    grant.add_argument("class_id", metavar="CLASS", help="a class of the catalog's allowances")
    grant.add_argument("hours", metavar="HOURS", help="from -1000 to 1000; a negative number takes hours away")
    grant.add_argument(
        "--until", metavar="TIME", help="2026-11-30T00:00; local, unless a zone is said (the end of this week)"
    )
    refund = commands.add_parser("refund", help="give back what a run used and that was not given back yet")
    refund.add_argument("instance", metavar="RUN", help="id of the run, from the user's page or their history")
    for parser in (grant, refund):
        parser.add_argument("--reason", required=True, help="shown to the user")
    allowance = commands.add_parser("allowance", help="show what a user has left, and their grants")
    allowance.add_argument("person", metavar="USER", help="name in JupyterHub, or id of the person")
    for parser in (grant, refund, allowance):
        parser.add_argument(
            "--state", type=Path, help=f"state folder (default: what {SETTINGS_VARIABLE} names, or STATE)"
        )


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="fill, list and check the platform's model cache")
    changes = models.add_subparsers(dest="change", required=True)
    pull = changes.add_parser("pull", help="download models of the catalog, or newer revisions of them")
    listing = changes.add_parser("list", help="list models: what the catalog names, and what is there")
    listing.add_argument("--newer", action="store_true", help="ask the hubs whether they have something newer")
    verify = changes.add_parser("verify", help="read all files again, and compare them with their checksums")
    remove = changes.add_parser("remove", help="remove models, and downloads that broke off")
    for parser in (pull, listing, verify, remove):
        if parser is remove:
            parser.add_argument("models", metavar="ID", nargs="+")
        else:
            parser.add_argument("models", metavar="ID", nargs="*", help="ids (default: all)")
        parser.add_argument("--folder", type=Path, help="use this folder instead of `models` in the settings")
    examples = commands.add_parser("examples", help="what the examples need")
    measure = examples.add_subparsers(dest="change", required=True).add_parser(
        "measure", help="run examples in their images, and compare time and memory with the catalog"
    )
    measure.add_argument("examples", metavar="ID", nargs="*", help="ids (default: all whose image is installed)")
    for parser in (pull, listing, verify, remove, measure):
        parser.add_argument("--settings", type=Path, default=LOCAL_FILE, help="settings for one machine (%(default)s)")
        parser.add_argument("--catalog", type=Path, help="use this catalog instead of the one in the settings")


def _add_warm(warm: argparse.ArgumentParser) -> None:
    changes = warm.add_subparsers(dest="change")
    plan = changes.add_parser("plan", help="keep notebooks warm at set times, for example for a class")
    plan.add_argument("name", metavar="NAME")
    floor = changes.add_parser("floor", help="keep at least N notebooks warm from now on")
    for parser in (plan, floor):
        parser.add_argument("--flavor", required=True)
        parser.add_argument("--image", required=True)
    plan.add_argument("--slots", required=True, metavar="N", help="how many")
    plan.add_argument(
        "--begins",
        required=True,
        metavar="TIME",
        help="for example 2026-11-23T09:00; local time unless a zone is given",
    )
    plan.add_argument("--ends", required=True, metavar="TIME")
    plan.add_argument("--weekly", action="store_true", help="repeat every week")
    floor.add_argument("slots", metavar="N|catalog", help="how many; catalog: reset to the catalog's number")
    changes.add_parser("unplan", help="delete a plan").add_argument("name", metavar="NAME")


def _days(text: str) -> float:
    days = float(text)
    if not 0 < days <= 366:
        raise ValueError
    return days


def state_folder() -> Path:
    """The state folder where none is named: STATE, or .freepool."""
    return Path(os.environ.get("STATE") or ".freepool")
