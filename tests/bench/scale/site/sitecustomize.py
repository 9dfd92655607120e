"""Python runs this first in every program of the benchmark: the pool is pretended, and the steward writes its times."""

import os
import sys

if "FREEPOOL_BENCH_SLOTS" in os.environ:
    from tests.bench.scale.pool import install

    install(steward="steward" in sys.orig_argv)
