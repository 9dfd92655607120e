"""How many files and connections a process may have open.

Most systems give a process 1024 unless it asks for more, and the proxy passes on many times as many connections:
a client that opens a thousand slow ones would keep the hub or the desk from accepting more.
"""

from __future__ import annotations

import resource

GIVEN = resource.getrlimit(resource.RLIMIT_NOFILE)
"""The soft and the hard limit that this process was started with."""
MOST = 16 * 1024
"""More than the proxy's connections (`spawner/local/front.py`)."""


def raise_limit() -> None:
    """Have as many as the system lets this process have."""
    soft, hard = GIVEN
    most = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
