"""Mistakes in a hub's own file, found without starting the hub.

JupyterHub only logs a warning for an unknown option, and notices a bad value or a missing key when it already serves.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from jupyterhub.app import JupyterHub
from jupyterhub.crypto import CryptKeeper
from traitlets import TraitError
from traitlets.config import Config, Configurable, PyFileConfigLoader

from spawner.hub.spawner_options import without_effect
from spawner.plain_text import one_line

CRYPT_KEYS = (
    "enable_auth_state needs a key, with which JupyterHub encrypts what it keeps. Set JUPYTERHUB_CRYPT_KEY to 64 "
    "hexadecimal digits (openssl rand -hex 32), or the key crypt-keys of the Secret."
)


def mistakes_in(path: Path) -> Iterator[str]:
    """A sentence for each mistake in a JupyterHub configuration file, which is run for it."""
    try:
        config = PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
    except (Exception, SystemExit) as error:
        yield f"hub.config or hub.extraConfig: {type(error).__name__}: {one_line(str(error))}"
        return
    yield from without_effect(config)
    yield from _in_values(config)


def _in_values(config: Config) -> Iterator[str]:
    JupyterHub.clear_instance()
    try:
        hub = JupyterHub(config=config)
        login_class = hub.authenticator_class
        yield from _unknown(config, JupyterHub, login_class)
        login = login_class(parent=hub)
    except (TraitError, ImportError, ValueError) as error:
        yield f"hub.config: {one_line(str(error))}"
        return
    if login.enable_auth_state and not (config.get("CryptKeeper", {}).get("keys") or CryptKeeper(config=config).keys):
        yield CRYPT_KEYS


def _unknown(config: Config, *used: type[Configurable]) -> Iterator[str]:
    """Options that none of the classes in use has, in the sections of these classes and of those they are made from."""
    for one in used:
        sections = [base for base in one.__mro__ if issubclass(base, Configurable)]
        known = set(one.class_trait_names(config=True))
        for section in sections:
            for name in config.get(section.__name__, Config()):
                if name not in known:
                    guess = difflib.get_close_matches(name, known, n=1)
                    hint = f"Did you mean {guess[0]}?" if guess else "Remove it."
                    yield f"hub.config: {section.__name__}.{name}: there is no such option. {hint}"
