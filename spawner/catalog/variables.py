"""Variables that a catalog may set for every instance."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from spawner.catalog.parts import echo

RESERVED_VARIABLES = frozenset({"HOME", "PATH", "TMPDIR", "USER", "LOGNAME", "PYTHONPATH", "JUPYTER_RUNTIME_DIR"})
"""Variables of an instance that Freepool sets itself."""
FILE_VARIABLES = frozenset(
    {"CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "PIP_CONFIG_FILE", "REQUESTS_CA_BUNDLE"}
    | {"SSL_CERT_FILE"}
)
"""Variables that name a file, which instances must see."""
MOST_VARIABLES = 100
LONGEST_VALUE = 2048


def check_variables(variables: dict[str, str]) -> dict[str, str]:
    """The same, where an instance can have them. Raises `ValueError`."""
    for name, text in variables.items():
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in text or len(text) > LONGEST_VALUE:
            raise ValueError(f"{echo(name)} is not a valid variable name, or its value is too long")
        if name in RESERVED_VARIABLES or name.startswith(("JUPYTERHUB_", "FREEPOOL_")):
            raise ValueError(f"{name} may not be set: Freepool sets it itself")
        if name in FILE_VARIABLES and not PurePosixPath(text).is_absolute():
            raise ValueError(f"{name} must be the absolute path of a file, as instances see it")
    return variables
