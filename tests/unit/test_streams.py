"""One user has only so many streams open, and those of others are not counted."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from spawner.desk.streams import Streams
from spawner.errors import RateLimited


def test_one_person_has_only_so_many_streams_and_others_have_theirs() -> None:
    streams = Streams(most=3)
    with ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(streams.place("ann"))
        with pytest.raises(RateLimited), streams.place("ann"):
            pass
        with streams.place("ben"):
            pass
    with streams.place("ann"):
        pass
    assert not streams._open
