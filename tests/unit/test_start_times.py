"""Where the time of a start goes."""

from __future__ import annotations

from spawner.pool.start_times import PARTS, StartTimes, parse


def test_each_part_has_the_time_since_the_last_end_and_a_line_of_the_log_has_them_all() -> None:
    now = 100.0
    times = StartTimes(lambda: now)
    times.spent_before(0.040)
    for part, seconds in (
        ("admission", 0.012),
        ("slot", 0.003),
        ("ledger", 0.005),
        ("server", 0.08),
        ("ledger", 0.006),
    ):
        now += seconds
        times.end(part)
    line = f"[I JupyterHub spawner:197] ann: the notebook answers after {times} [request=1 person=2]"
    assert line.count("146 ms: hub 40, admission 12, slot 3, ready 0, ledger 11, claim 0, server 80 [") == 1
    assert tuple(parse(line)) == tuple(times.seconds) == PARTS
    assert {part: round(seconds, 3) for part, seconds in times.seconds.items()} == parse(line)
