"""Which faults of a sensor around a window count."""

from __future__ import annotations

import pytest

from bench.model import Sample, Sensor, Window
from bench.power.judge import judge_samples

PERIOD_S = 0.1
SENSOR = Sensor(source="nvml", scope="gpu", counter=True, counter_period_s=PERIOD_S, poll_s=0.01)
WINDOW = Window(10**9, 2 * 10**9, 1, 1.0)


def counted(reset_s: float) -> list[Sample]:
    """Samples every 10 ms from 0 to 3 s of a counter of 300 W that restarts at a time."""
    times_s = [number / 100 for number in range(301)]
    return [Sample(round(t * 1e9), counter_j=300 * (t if t < reset_s else t - reset_s) + 1) for t in times_s]


@pytest.mark.parametrize(
    ("reset_s", "counts"),
    [
        (1 - 2.5 * PERIOD_S, False),
        (1 - 1.5 * PERIOD_S, True),
        (1.5, True),
        (2 + 1.5 * PERIOD_S, True),
        (2 + 2.5 * PERIOD_S, False),
    ],
)
def test_a_reset_counts_within_two_updates_of_the_window(reset_s: float, counts: bool) -> None:
    verdict = judge_samples(counted(reset_s), WINDOW, SENSOR)
    assert any("went backward" in reason for reason in verdict.invalid) is counts
    assert verdict.counter is not counts
