"""Names and ports by which mining programs are known. A name or a port proves nothing: a note says what was seen.

Sources: the names of the programs that pools document for their users; ports from the pools' and programs' own pages of
2025 (named beside each). Pools also offer 80 and 443, which cannot be told from the web, and programs can be renamed:
the list finds those who do not hide.
"""

from __future__ import annotations

PROGRAMS = frozenset(
    {
        "bfgminer",
        "bminer",
        "ccminer",
        "cgminer",
        "cpuminer",
        "cpuminer-multi",
        "cpuminer-opt",
        "ethdcrminer64",
        "ethminer",
        "gminer",
        "kdevtmpfsi",  # of the Kinsing malware
        "kinsing",
        "lolminer",
        "minerd",
        "minergate-cli",
        "nanominer",
        "nbminer",
        "nsfminer",
        "phoenixminer",
        "rigel",
        "srbminer-multi",
        "t-rex",
        "teamredminer",
        "wildrig-multi",
        "xmr-stak",
        "xmrig",
        "xmrig-notls",
        "xmrigdaemon",
    }
)
"""In lower case."""
LONGEST_NAME = 15
"""The kernel cuts the name of a process off after so many bytes."""
PORTS = frozenset(
    {
        3333,  # XMRig's example configuration; supportxmr.com, hashvault.pro, nicehash.com
        4444,  # ethminer's documentation; minexmr.com
        5555,  # supportxmr.com, hashvault.pro
        7777,  # supportxmr.com, hashvault.pro
        9999,  # ethermine.org, f2pool.com
        10300,  # nanopool.org: Monero
        10343,  # nanopool.org: Monero, TLS
        13333,  # unmineable.com
        14433,  # nanopool.org's former Monero port, TLS
        14444,  # nanopool.org's former Monero port
        20128,  # moneroocean.stream, TLS
        45700,  # minergate.com: Monero
    }
)


def known_programs(names: tuple[str, ...], more: tuple[str, ...] = ()) -> list[str]:
    """Those of these process names that are in the list, or in an operator's."""
    wanted = PROGRAMS | {name.lower() for name in more}
    cut = {name[:LONGEST_NAME] for name in wanted}
    return sorted({name for name in names if name.lower() in wanted or name.lower() in cut})
