"""Launches inside a window: rates, autocorrelation, batch means; and that a sidecar holds and checks them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench import storage
from bench.analysis.launches import batch_means, lag1_autocorrelation, launch_rates
from bench.model import BenchError, Window
from tests.support import factory


def test_rates_are_iterations_over_the_time_of_each_launch() -> None:
    window = Window(0, 3_000_000_999, 3, 70.0, (1_000_000, 500_000, 1_500_000), (10, 20, 40))
    assert launch_rates(window) == pytest.approx((10.0, 40.0, 40 / 1.5))
    assert launch_rates(Window(0, 1, 1, 1.0)) == ()


@pytest.mark.parametrize("phi", [0.0, 0.6, -0.6])
def test_autocorrelation_of_a_known_process(phi: float) -> None:
    draw = random.Random(3)
    value, values = 0.0, []
    for _ in range(4000):
        value = phi * value + draw.gauss(0, 1)
        values.append(2.0 ** (value / 10))
    assert lag1_autocorrelation(values) == pytest.approx(phi, abs=0.05)


def test_few_or_equal_launches_say_nothing() -> None:
    assert lag1_autocorrelation([1.0, 2.0] * 3) is None
    assert lag1_autocorrelation([1.0] * 20) is None


def test_batch_means_leave_out_the_first_values() -> None:
    assert batch_means([100.0, 1.0, 3.0, 5.0, 7.0], 2) == (2.0, 6.0)
    with pytest.raises(ValueError, match="do not fill"):
        batch_means([1.0], 2)


def written(tmp_path: Path, window: Window) -> Path:
    with storage.create(tmp_path, "a") as out:
        out.append(factory.run()[0], window=window)
    return storage.sidecar_path(out.path)


def test_a_sidecar_keeps_every_launch(tmp_path: Path) -> None:
    window = Window(5, 2_000_007_005, 2, 30.0, (900_000, 1_100_007), (10, 20))
    (note,) = storage.read_sidecar(written(tmp_path, window)).windows
    assert note.window == window


@pytest.mark.parametrize(
    ("lengths", "sizes", "says"),
    [
        ((1_000_000, 1_000_000), (10,), "2 lengths and 1 sizes of 2 launches"),
        ((2_500_000, -500_000), (10, 20), "less than no time"),
        ((1_000_000, 1_000_000), (0, 20), "ran no iteration"),
        ((1_000_000, 900_000), (10, 20), "took 1900000 µs together"),
    ],
)
def test_launches_that_cannot_be_are_refused(
    lengths: tuple[int, ...], sizes: tuple[int, ...], says: str, tmp_path: Path
) -> None:
    path = written(tmp_path, Window(0, 2_000_000_000, 2, 30.0, lengths, sizes))
    with pytest.raises(BenchError, match=says):
        storage.read_sidecar(path)
