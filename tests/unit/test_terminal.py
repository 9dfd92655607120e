"""A closed terminal does not keep the supervisor from cleaning up."""

from __future__ import annotations

import subprocess
import sys

TWICE = "from spawner.local.up import say; import sys; sys.stdin.read(); say('one'); say('two'); sys.exit(7)"


def test_a_closed_terminal_is_not_an_error() -> None:
    program = subprocess.Popen([sys.executable, "-c", TWICE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdout.close()
    program.stdin.close()
    assert program.wait(60) == 7
