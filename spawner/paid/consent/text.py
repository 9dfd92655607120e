"""The text of an offer, as pairs of an English and a Simplified Chinese sentence.

Increment `VERSION` with every change of a sentence: each consent stores the version, the text as shown, and its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from spawner.ledger.paid.rows import ConsentKind
from spawner.paid.money import Money
from spawner.paid.providers.base import Capability, InstanceType

VERSION = 3
ENGLISH, CHINESE = "en", "zh-CN"
GIB = 1024**3
CHINESE_NAMES = {"Alibaba Cloud PAI-DSW": "阿里云 PAI-DSW"}


@dataclass(frozen=True)
class Facts:
    """Facts that the text states. `disk`: requested size in bytes; `disk_price`: price of an hour beyond the included
    size. `zone`: the time zone of the reader, for the times in the text."""

    kind: ConsentKind
    provider: str
    capabilities: frozenset[Capability]
    account_id: str
    region: str
    instance_type: InstanceType
    price: Money
    disk: int | None
    disk_price: Money | None
    cap: Money
    run_seconds: int
    idle_seconds: int | None
    read_at: datetime
    now: datetime
    zone: tzinfo = UTC


Pair = tuple[str, str]

CREATE: Pair = (
    "Freepool will create one notebook in your own {provider} account (ending in {account}, region {region}). "
    "{provider} will bill you for it.",
    "Freepool 将在你自己的{provider} 账号（尾号 {account}，地域 {region}）中创建一个 Notebook，"
    "费用由{provider} 向你收取。",
)
START: Pair = (
    "Freepool will start your stopped notebook again in your own {provider} account (ending in {account}, region "
    "{region}). {provider} will bill you for it.",
    "Freepool 将重新启动你自己的{provider} 账号（尾号 {account}，地域 {region}）中已停止的 Notebook，"
    "费用由{provider} 向你收取。",
)
INSTANCE_TYPE: Pair = (
    "Machine type: {instance_type} ({cpu} CPU, {memory} GiB memory{gpu}).",
    "机器规格：{instance_type}（{cpu} 核 CPU，{memory} GiB 内存{gpu}）。",
)
GPU: Pair = (", {count} × {name}", "，{count} × {name}")
PRICE: Pair = (
    "Price: {price} per hour (list price as of {read_at}). Your own price may differ.",
    "价格：每小时 {price}（{read_at} 的目录价）。你的实际价格可能不同。",
)
DISK: Pair = (
    "Disk: {disk} GiB, an additional {disk_price} per hour, also while the notebook is stopped, until you delete it.",
    "磁盘：{disk} GiB，另收每小时 {disk_price}；Notebook 停止后仍会计费，直到你将其删除。",
)
CAP: Pair = (
    "Limits: {cap} and {minutes} minutes for this session. If it starts now, it is stopped at {until} at the latest.",
    "限额：本次运行最多花费 {cap}，最长运行 {minutes} 分钟；若现在启动，最晚在 {until} 停止。",
)
AUTO_STOP: Pair = (
    "A timer at {provider} stops it at that time, even if Freepool is unavailable. Until that timer is set, usually "
    "within seconds, only Freepool enforces the limits.",
    "届时由{provider} 的定时器停止 Notebook，即使 Freepool 不可用也会生效。"
    "在定时器设好之前（通常几秒内），仅由 Freepool 执行限额。",
)
NO_AUTO_STOP: Pair = (
    "{provider} has no auto-stop timer: Freepool stops the notebook. If Freepool cannot reach your account, the "
    "notebook keeps running and costs more.",
    "{provider} 没有自动停止定时器，由 Freepool 停止 Notebook。"
    "若 Freepool 无法访问你的账号，Notebook 会继续运行并产生更多费用。",
)
IDLE: Pair = (
    "It is also stopped after {idle} minutes of inactivity.",
    "闲置 {idle} 分钟后，Notebook 也会被停止。",
)
NO_IDLE: Pair = (
    "It is not stopped for inactivity.",
    "闲置时不会自动停止。",
)
STOP: Pair = (
    "Stopping ends compute charges and keeps the disk for some time. Deleting ends all charges and erases the disk. "
    "You can do either at any time, here or at {provider}.",
    "停止后不再产生计算费用，磁盘会保留一段时间；删除后不再产生任何费用，磁盘上的内容会被清除。"
    "你可以随时在这里或在{provider} 进行这两种操作。",
)
WIPED: Pair = (
    "After it has been stopped for 15 days, {provider} erases the included disk.",
    "停止满 15 天后，{provider} 会清除免费额度内的磁盘。",
)
NOT_INCLUDED: Pair = (
    "Not included: network traffic, storage that you attach, taxes, and other resources that you start yourself.",
    "不包括：流量、你自行挂载的存储、税费，以及你自行启动的其他资源。",
)
BILL: Pair = (
    "{provider} issues the bill two to three hours later. Amounts shown by Freepool are estimates.",
    "账单由{provider} 出具，会延迟两到三小时。Freepool 显示的金额均为估算。",
)
ONCE: Pair = (
    "This approval is for one session. Nothing is started again without a new approval.",
    "本次确认仅用于一次运行。未经你再次确认，不会重新启动任何 Notebook。",
)


def write(facts: Facts, language: str) -> str:
    """The text in `language` (`ENGLISH`, or else Chinese), one pair per line."""
    index = 0 if language == ENGLISH else 1
    params = _params(facts, index)
    return "\n".join(pair[index].format(**params) for pair in _pairs(facts))


def hash_of(text: str) -> str:
    """SHA-256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _pairs(facts: Facts) -> Iterator[Pair]:
    yield START if facts.kind is ConsentKind.START else CREATE
    yield INSTANCE_TYPE
    yield PRICE
    if facts.disk_price is not None:
        yield DISK
    yield CAP
    yield AUTO_STOP if Capability.AUTO_STOP in facts.capabilities else NO_AUTO_STOP
    yield IDLE if facts.idle_seconds is not None else NO_IDLE
    yield STOP
    if Capability.WIPES in facts.capabilities:
        yield WIPED
    yield from (NOT_INCLUDED, BILL, ONCE)


def _params(facts: Facts, index: int) -> dict[str, str]:
    instance_type = facts.instance_type
    gpu = (
        GPU[index].format(count=instance_type.gpu_count, name=instance_type.gpu_name or "GPU")
        if instance_type.gpu_count
        else ""
    )
    return {
        "provider": facts.provider if index == 0 else CHINESE_NAMES.get(facts.provider, facts.provider),
        "account": facts.account_id[-4:],
        "region": facts.region,
        "instance_type": instance_type.id,
        "cpu": str(instance_type.cpu),
        "memory": f"{instance_type.memory / GIB:g}",
        "gpu": gpu,
        "price": facts.price.exact,
        "read_at": _time(facts.read_at, facts.zone),
        "until": _time(facts.now + timedelta(seconds=facts.run_seconds), facts.zone),
        "disk": f"{(facts.disk or 0) / GIB:g}",
        "disk_price": facts.disk_price.exact if facts.disk_price else "",
        "cap": facts.cap.exact,
        "minutes": str(facts.run_seconds // 60),
        "idle": str((facts.idle_seconds or 0) // 60),
    }


def _time(at: datetime, zone: tzinfo) -> str:
    """Such as "2026-03-01 20:00 UTC+8": the text is kept, so it names the offset."""
    there = at.astimezone(zone)
    minutes = int((there.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    offset = f"{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}" if minutes else ""
    return f"{there:%Y-%m-%d %H:%M} UTC{offset}"
