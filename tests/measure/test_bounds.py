"""Values that nobody means are refused with one sentence, and an option that would do nothing is too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.cli.app import call
from bench.measure import session
from bench.measure.plan import RunPlan, SelectionOptions
from bench.measure.timing import TimingOptions
from bench.model import BenchError, Device
from bench.power.options import PowerOptions
from bench.workloads.hashing import scrypt, sha256d
from bench.workloads.hashing.options import HashingOptions

CPU, CARD = Device("cpu", 0, "a CPU", cores=4), Device("cuda", 0, "a card")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--window", "1e300"], "--window 86400 or less"),
        (["--window", "inf"], "--window 86400 or less"),
        (["--warmup", "1e9"], "--warmup 86400 or less"),
        (["--wait-idle", "nan"], "--wait-idle 0 or more"),
        (["--repeats", "1" + "0" * 20], "--repeats 1 to 10000"),
        (["--seed", "1" + "0" * 30], "cannot be a seed"),
        (["--threads", "1000000000"], "--threads 1 to 4096"),
        (["--variant", "-99"], "no kernel variant -99"),
        (["--prefer", "foo"], 'value "foo" for --prefer'),
        (["--assume-watts", "1e-308"], "watts from 0.001 to 1e+07"),
        (["--assume-watts", "1e308"], "watts from 0.001 to 1e+07"),
        (["--meter", "assume:1e-308"], "watts from 0.001 to 1e+07"),
        (["--device", "cpu", "--device", "cuda"], "--device specified multiple times"),
        (["--variant", "2"], "--variant applies only to NVIDIA's cards, not to cpu"),
        (["--prefer", "efficiency"], "--prefer applies only to NVIDIA's cards, not to cpu"),
        (
            ["--version-rolling", "4", "--engine", "portable"],
            "--version-rolling applies only to CPUs and NVIDIA's cards, not to cpu with --engine portable",
        ),
        (["--isa", "avx2", "--engine", "portable"], "--isa applies only to CPUs, not to cpu with --engine portable"),
    ],
)
def test_the_command_line_refuses(arguments: list[str], says: str, tmp_path: Path) -> None:
    device = [] if "--device" in arguments else ["--device", "cpu"]
    with pytest.raises(BenchError) as caught:
        call(["run", "--workload", "sha256d", "--quiet", "--out", str(tmp_path / "out"), *device, *arguments])
    assert says in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workload", [sha256d, scrypt])
@pytest.mark.parametrize("options", [{"isa": "avx2"}, {"threads": 2}])
def test_options_of_a_cpu_are_refused_on_a_card(workload: Any, options: dict[str, Any]) -> None:
    assert workload.plan(CPU, HashingOptions(**options))
    assert workload.plan(CARD, HashingOptions(variant=1, prefer="efficiency"))
    with pytest.raises(BenchError, match="applies only to CPUs, not to cuda:0"):
        workload.plan(CARD, HashingOptions(**options))


def test_ordinary_values_are_taken() -> None:
    TimingOptions(window_s=86400, warmup_s=0, wait_idle_s=0, repeats=10_000, seed=2**63 - 1)
    assert PowerOptions(assume_watts=0.001).assume_watts == 0.001


@pytest.mark.parametrize(
    ("environment", "threads", "says"),
    [
        ({}, None, None),
        ({"OMP_NUM_THREADS": "1"}, None, "OMP_NUM_THREADS=1: matrix products run on 1 of 4 cores, hashing on 4"),
        ({"MKL_NUM_THREADS": "1"}, None, "MKL_NUM_THREADS=1"),
        ({"OMP_NUM_THREADS": "1"}, 1, None),
    ],
)
def test_threads_that_slow_one_side_are_named(
    environment: dict[str, str], threads: int | None, says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    plan = RunPlan(selection=SelectionOptions(device="cpu"), hashing=HashingOptions(threads=threads))
    found = session.thread_limit(plan, CPU)
    assert (says is None) == (found is None)
    assert says is None or says in str(found)
    hashing_only = RunPlan(selection=SelectionOptions(device="cpu", workload=("sha256d",)))
    assert session.thread_limit(hashing_only, CPU) is None
    assert session.thread_limit(plan, CARD) is None
