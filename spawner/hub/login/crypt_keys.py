"""Keys that JupyterHub encrypts with what it keeps about logins: one a line, in a file of the secrets' folder.

The first encrypts; all of them decrypt. So a key is changed by a new first line, and an old one goes when no user's
record needs it: JupyterHub encrypts a record anew whenever it reads it.
"""

from __future__ import annotations

import re
import secrets

NAME = "crypt-keys"
KEY = re.compile("[0-9a-f]{64}")
MOST_KEYS = 5


def read_keys(text: str) -> list[str]:
    """The keys in the file. Raises `ValueError` with what to do."""
    keys = text.split()
    if not keys or not all(map(KEY.fullmatch, keys)):
        raise ValueError("needs one key of 64 hexadecimal digits in each line: openssl rand -hex 32")
    return keys


def rotate(text: str) -> str:
    """The file with a new first key. Only the last few keys are kept."""
    return "\n".join([secrets.token_hex(32), *text.split()][:MOST_KEYS]) + "\n"
