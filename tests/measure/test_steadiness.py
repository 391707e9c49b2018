"""When a warm-up has come to rest, and what it says where it has not."""

from __future__ import annotations

from bench.measure.steadiness import Block, moved


def blocks(rates=(1.0, 1.0, 1.0), watts=(9.0, 9.0, 9.0), degrees=(60.0, 60.0, 60.0)):
    return [Block(*each) for each in zip(rates, watts, degrees, strict=True)]


def test_three_blocks_must_agree_in_rate_power_and_temperature():
    assert moved(blocks(), 2.0) is None
    assert moved(blocks()[:2], 2.0) == "only 2 blocks of 2 s"
    assert moved(blocks(rates=(1.0, 1.0, 1.01)), 2.0) == "rate by 1.0%"
    assert moved(blocks(watts=(9.0, 9.0, 9.2)), 2.0) == "power by 2.2%"
    assert moved(blocks(degrees=(60.0, 61.0, 62.0)), 2.0) == "temperature by +2.0 °C"
    assert moved(blocks(rates=(1.0, 1.1, 1.0), watts=(9.0, 9.0, 10.0)), 2.0) == "rate by 9.7%, power by 10.7%"
    assert moved(blocks(degrees=(60.0, 60.0, 61.0)), 2.0) is None, "one step of a whole-degree sensor"
    assert moved(blocks(watts=(None, None, None), degrees=(None, None, None)), 2.0) is None


def test_only_the_last_blocks_are_judged():
    assert moved([Block(0.5, None, None), *blocks()], 2.0) is None
