"""What measuring costs: the sampler's share of a core, and of a workload's rate. On the fake NVML library.

make microbench, or: pytest --benchmark-only tests/benchmarks/test_meter_cost.py
"""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.model import Device
from bench.power import open_meter
from bench.power.sampler import SampledMeter
from tests.fakes.nvml.build import build
from tests.fakes.nvml.truth import Card, Curve, write_script

DEVICE = Device("cuda", 0, "a card", uuid="GPU-11111111-aaaa")
STRETCH_S = 2.0
STRETCHES = 10
SLICE_S = 0.25
PAIRS = 60


@pytest.fixture
def meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SampledMeter]:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(build(tmp_path)))
    card = Card(str(DEVICE.uuid), Curve(((0.0, 300.0),)), {"name": "NVIDIA H100 80GB HBM3", "aperture": 0.025})
    monkeypatch.setenv("FAKE_NVML_SCRIPT", str(write_script(tmp_path / "script", time.monotonic_ns(), card)))
    opened = open_meter("auto", DEVICE)
    assert isinstance(opened, SampledMeter)
    opened.start()
    yield opened
    opened.close()


def cpu_s(process: int) -> float:
    """CPU seconds of a process, by the scheduler's own nanoseconds."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def test_share_of_a_core(meter: SampledMeter, benchmark: Any) -> None:
    """CPU time of the sampler and of the run's side, over the time that passed. Other load makes each poll dearer,
    since its caches are cold: the least and the median of ten stretches are noted.
    """
    ours: list[float] = []
    parents: list[float] = []

    def stretch() -> None:
        child, parent, begun = cpu_s(meter._child.pid), time.thread_time(), time.monotonic()
        while time.monotonic() - begun < STRETCH_S:
            time.sleep(0.25)
            meter.latest()
        passed = time.monotonic() - begun
        ours.append((cpu_s(meter._child.pid) - child) / passed)
        parents.append((time.thread_time() - parent) / passed)

    benchmark.pedantic(stretch, rounds=STRETCHES, iterations=1)
    benchmark.extra_info["sampler_share_least"] = min(ours)
    benchmark.extra_info["sampler_share_median"] = statistics.median(ours)
    benchmark.extra_info["run_side_share_median"] = statistics.median(parents)
    print(f"\nsampler {min(ours):.3%} at least, {statistics.median(ours):.3%} median of a core")


def test_share_of_a_workloads_rate(meter: SampledMeter, benchmark: Any) -> None:
    """Work per CPU second of a loop on every core, with the sampler running and stopped (SIGSTOP), A B B A.

    Per CPU second, so that other load on the machine does not count: what is left is the caches that the sampler
    spoils. The time that it takes from the cores is its share of a core, measured above.
    """
    import numpy as np

    def rate() -> float:
        """Rounds per CPU second, summed over the cores."""
        found = [0.0] * (os.cpu_count() or 1)

        def work(place: int) -> None:
            block = np.random.default_rng(place).standard_normal(1 << 15)
            rounds, begun = 0, time.thread_time()
            while time.monotonic() < until:
                np.sqrt(np.abs(block))
                rounds += 1
            found[place] = rounds / (time.thread_time() - begun)

        until = time.monotonic() + SLICE_S
        threads = [threading.Thread(target=work, args=(place,)) for place in range(len(found))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(found)

    ratios: list[float] = []

    def pair() -> None:
        rates: dict[bool, float] = {True: 0.0, False: 0.0}
        for sampling in (True, False, False, True):
            os.kill(meter._child.pid, signal.SIGCONT if sampling else signal.SIGSTOP)
            rates[sampling] += rate()
        os.kill(meter._child.pid, signal.SIGCONT)
        ratios.append(rates[True] / rates[False])

    benchmark.pedantic(pair, rounds=PAIRS, iterations=1)
    ordered = sorted(ratios)
    benchmark.extra_info["rate_with_over_without_median"] = statistics.median(ratios)
    benchmark.extra_info["quartiles"] = [ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]]
    half = 1.57 * (ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]) / len(ratios) ** 0.5
    print(f"\nwork per CPU second with the sampler over without: median {statistics.median(ratios):.4f} ± {half:.4f}")
