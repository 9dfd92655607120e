"""What the landing page says to run for a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from spawner.desk.user.landing import link_command

HOME = Path("/home/ann")


@pytest.mark.parametrize(
    ("python", "state", "found", "command"),
    [
        (
            "/home/ann/pool/.venv/bin/python",
            "/home/ann/pool/.freepool",
            None,
            "~/pool/.venv/bin/freepool link --state ~/pool/.freepool",
        ),
        ("/opt/pool/bin/python", "/srv/state", "/opt/pool/bin/freepool", "freepool link --state /srv/state"),
        ("/opt/pool/bin/python", "/srv/state", "/usr/bin/freepool", "/opt/pool/bin/freepool link --state /srv/state"),
        ("/home/ann/my pool/bin/python", "/home/ann/s", None, "~/'my pool/bin/freepool' link --state ~/s"),
    ],
)
def test_the_command_works_in_any_folder(python: str, state: str, found: str | None, command: str) -> None:
    assert link_command(Path(python), Path(state), found, HOME) == command
