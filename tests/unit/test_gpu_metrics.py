"""What DCGM exporters tell about GPUs, read over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from spawner.pool.backends.kubernetes import gpu_metrics
from spawner.pool.backends.kubernetes.gpu_metrics import GpuMetrics, read_gpus

# Lines as in the README of NVIDIA's dcgm-exporter, with the labels that it adds to pods (DCGM_EXPORTER_KUBERNETES).
EXPOSITION = """\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",namespace="pool",pod="freepool-a",container="n"} 99
# HELP DCGM_FI_DEV_FB_USED Frame buffer memory used (in MB).
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1",namespace="pool",pod="freepool-b",container="n"} 72000
# HELP DCGM_FI_PROF_GR_ENGINE_ACTIVE Ratio of time the graphics engine is active.
# TYPE DCGM_FI_PROF_GR_ENGINE_ACTIVE gauge
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",UUID="GPU-1",GPU_I_ID="1",namespace="pool",pod="freepool-a",container="n"} 0.25
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="1",UUID="GPU-2",namespace="pool",pod="freepool-a",container="n"} 0.75
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="2",UUID="GPU-3",device="nvidia2",namespace="pool",pod="freepool-b",container="n"} 0.0
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="3",UUID="GPU-4",namespace="other",pod="freepool-c",container="n"} 1.0
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="4",UUID="GPU-5",device="nvidia4",namespace="",pod="",container=""} 1.0
"""
FEDERATED = """\
DCGM_FI_PROF_GR_ENGINE_ACTIVE{pod="exporter-x",namespace="gpu",exported_pod="freepool-c",exported_namespace="pool"} 0.5
"""


def test_the_busiest_gpu_of_a_slot_counts_and_held_memory_does_not() -> None:
    assert read_gpus(EXPOSITION, "pool", ["a", "b", "c"]) == {"a": 0.75, "b": 0.0}


def test_prometheus_renames_the_exporters_labels() -> None:
    assert read_gpus(FEDERATED, "pool", ["c"]) == {"c": 0.5}


@pytest.mark.parametrize("text", [gpu_metrics.METRIC + "{", gpu_metrics.METRIC + '{pod="x"} much'])
def test_what_is_no_exposition_is_said(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the parser's own)
        read_gpus(text, "pool", ["a"])


@asynccontextmanager
async def exporter(text: str, status: int = 200) -> AsyncIterator[str]:
    """The address of an exporter that says this."""
    app = web.Application()

    async def say(request: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    app.router.add_get("/metrics", say)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://localhost:{site._server.sockets[0].getsockname()[1]}/metrics"  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


async def test_every_address_of_a_name_is_read() -> None:
    async with exporter(EXPOSITION) as url:
        assert await GpuMetrics(url, "pool").read(["a", "b", "c"]) == {"a": 0.75, "b": 0.0}


@pytest.mark.parametrize(
    ("text", "status"), [("{", 200), (gpu_metrics.METRIC + "{", 200), (EXPOSITION, 503), ("", 200)]
)
async def test_an_exporter_that_fails_tells_nothing(text: str, status: int) -> None:
    async with exporter(text, status) as url:
        assert await GpuMetrics(url, "pool").read(["a"]) == {}


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_metrics, "LARGEST_ANSWER", 100)
    async with exporter(EXPOSITION) as url:
        assert await GpuMetrics(url, "pool").read(["a"]) == {}


async def test_a_name_or_a_port_that_is_not_there_tells_nothing() -> None:
    assert await GpuMetrics("http://127.0.0.1:9/metrics", "pool").read(["a"]) == {}
    assert await GpuMetrics(f"http://{'x' * 64}/metrics", "pool").read(["a"]) == {}
