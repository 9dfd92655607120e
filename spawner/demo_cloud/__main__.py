"""`python -m spawner.demo_cloud --port 8090`: run the demo cloud until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
from dataclasses import asdict
from pathlib import Path

from spawner.demo_cloud import settings
from spawner.demo_cloud.server import serving
from spawner.demo_cloud.settings import Options


def main() -> None:
    """Serve, and write the endpoints to `demo-cloud.json` in the `--state` folder once it listens."""
    parser = argparse.ArgumentParser(prog="python -m spawner.demo_cloud", description=__doc__)
    settings.add_options(parser)
    run(parser.parse_args())


def run(given: argparse.Namespace) -> None:
    """Serve with these command-line options until a signal."""
    given.state.mkdir(parents=True, exist_ok=True)
    options = Options(
        port=given.port,
        address=given.address,
        public=given.public,
        regions=tuple(given.regions.split(",")),
        speed=given.speed,
        keys=settings.keys_in(given.state),
    )
    asyncio.run(serve(options, given.state))


async def serve(options: Options, state: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    async with serving(options) as (endpoints, keys, _):
        settings.write(state / "demo-cloud.json", {"note": settings.NOTE, **asdict(endpoints), **asdict(keys)})
        print(f"The demo cloud is at {endpoints.main}/ (no real money)", flush=True)
        await stop.wait()


if __name__ == "__main__":
    main()
