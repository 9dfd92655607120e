"""The limit of open files: 1024 with most systems, of which the proxy alone passes on many times as many."""

from __future__ import annotations

import subprocess
import sys

RAISES = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from spawner import descriptors
descriptors.raise_limit()
print(*descriptors.GIVEN, *resource.getrlimit(resource.RLIMIT_NOFILE), descriptors.MOST)
"""


def test_a_process_takes_what_it_may_have_and_knows_what_it_was_given() -> None:
    said = subprocess.run([sys.executable, "-c", RAISES], capture_output=True, text=True, check=True).stdout
    given, most_given, soft, hard, most = map(int, said.split())
    assert (given, most_given) == (64, hard)
    assert soft == (most if hard < 0 else min(most, hard))
