"""Which of JupyterHub's options for spawners take effect here, and what stands in for the others.

An option that is set and does nothing is refused when the hub starts: an administrator who has set a memory
limit must not believe that there is one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from jupyterhub.app import JupyterHub

from spawner.errors import CatalogInvalid
from spawner.pool.last_catalog import read_catalog
from spawner.settings import Settings

OURS = ("Spawner", "InstanceSpawner")
OTHER_SPAWNER = "Spawner"
"""Ending of the names of all other spawners' sections."""
TAKE_EFFECT = frozenset(
    {
        "apply_user_options", "auth_state_hook", "consecutive_failure_limit", "default_url", "disable_user_config",
        "environment", "group_overrides", "http_timeout", "hub_connect_url", "named_servers",
        "oauth_client_allowed_scopes", "oauth_roles", "options_form", "options_from_form", "options_from_query",
        "poll_interval", "poll_jitter", "post_stop_hook", "pre_spawn_hook", "progress_ready_hook",
        "server_token_scopes", "start_timeout",
    }
)  # fmt: skip
FLAVOR = "set it at a flavor in the catalog"
IMAGE = "the catalog's image decides what runs; for options of the notebook server use c.Spawner.environment"
OWN_ADDRESS = "Freepool chooses the address of each notebook"
NO_EFFECT = {
    "args": IMAGE,
    "cmd": IMAGE,
    "debug": IMAGE,
    "cpu_guarantee": FLAVOR,
    "cpu_limit": FLAVOR,
    "mem_guarantee": FLAVOR,
    "mem_limit": FLAVOR,
    "env_keep": "name the variables in c.Spawner.environment, or under environment in the catalog",
    "ip": OWN_ADDRESS,
    "port": OWN_ADDRESS,
    "notebook_dir": "notebooks begin in the workspace; c.Spawner.default_url may name a folder in it",
    "ssl_alt_names": "JupyterHub's internal_ssl is not supported; protect the network",
    "ssl_alt_names_include_local": "JupyterHub's internal_ssl is not supported; protect the network",
}


def without_effect(config: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each option in JupyterHub's whole configuration that would do nothing."""
    for section in sorted(config):
        options = config[section]
        if section in OURS:
            for name in sorted(options):
                yield from _without_effect(f"c.{section}.{name}", name)
            overrides = options.get("group_overrides")
            if isinstance(overrides, Mapping):
                yield from _in_overrides(section, overrides)
        elif section.endswith(OTHER_SPAWNER) and options:
            yield f"c.{section}.{min(options)} does nothing here: notebooks are started by c.InstanceSpawner"
    if config.get("JupyterHub", {}).get("internal_ssl"):
        yield f"c.JupyterHub.internal_ssl does nothing here: {NO_EFFECT['ssl_alt_names']}"


def _in_overrides(section: str, overrides: Mapping[str, Any]) -> Iterator[str]:
    for key, rule in sorted(overrides.items()):
        for name in sorted(rule.get("spawner_override", {})):
            yield from _without_effect(f"c.{section}.group_overrides[{key!r}]: {name}", name)


def _without_effect(shown: str, name: str) -> Iterator[str]:
    if name in NO_EFFECT:
        yield f"{shown} does nothing here: {NO_EFFECT[name]}"
    elif name not in TAKE_EFFECT:
        yield f"{shown}: there is no such option"


def check_options(settings: Settings, *, refuse: bool) -> None:
    """Check the configuration once JupyterHub has read all of it: later lines of its file count, too.

    A hub of Freepool's own refuses to start; in another chart's, whose defaults cannot be helped, it is logged. No hub
    starts without a catalog: it would seem healthy, and refuse each start.
    """
    if not JupyterHub.initialized():
        return  # the file is read without a hub

    hub = JupyterHub.instance()
    begin_to_log = hub.init_logging

    def begin_to_log_and_check() -> None:
        begin_to_log()
        found = list(without_effect(hub.config))
        for sentence in found:
            hub.log.log(logging.CRITICAL if refuse else logging.WARNING, "%s", sentence)
        if found and refuse:
            hub.exit(1)
        try:
            read_catalog(settings)
        except CatalogInvalid as error:
            hub.log.critical("%s", error)
            hub.exit(1)

    hub.init_logging = begin_to_log_and_check  # JupyterHub's first step after its file; it has no hook there
