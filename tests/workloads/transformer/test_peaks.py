"""Peaks: stated where a card is known, derived where it tells its clocks, unknown otherwise."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import pytest

from bench.model import Device
from bench.workloads.transformer import dtypes, peaks
from tests.support.paths import ROOT

PUBLISHED = ROOT / "results" / "reference"
NOTHING = SimpleNamespace()


def card(name: str, arch: str | None = None, kind: str = "cuda", cores: int | None = None) -> Device:
    return Device(kind, 0, name, arch=arch, cores=cores)


@pytest.mark.parametrize(
    ("name", "dtype", "tflops", "gb_per_s"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4, 3352),
        ("NVIDIA H100 PCIe", "bf16", 756, 2039),
        ("NVIDIA H200", "fp8", 1978.9, 4800),
        ("NVIDIA H20", "bf16", 148, 4000),
        ("NVIDIA A100-SXM4-80GB", "tf32", 156, 2039),
        ("NVIDIA A100-SXM4-40GB", "bf16", 312, 1555),
        ("NVIDIA A100 80GB PCIe", "bf16", 312, 1935),
        ("NVIDIA B200", "tf32", 1100, 7700),
        ("NVIDIA GB200", "bf16", 2500, 8000),
        ("NVIDIA GH200 144G HBM3e", "bf16", 989, 4800),
        ("NVIDIA H200 NVL", "bf16", 836, 4800),
        ("AMD Instinct MI355X", "fp8", 5000, 8000),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "bf16", 503.8, 1792),
        ("MTT S4000", "int8", 200, 768),
        ("NVIDIA L4", "bf16", 121, 300),
        ("NVIDIA L40", "bf16", 181.05, 864),
        ("NVIDIA L40S", "bf16", 362.05, 864),
        ("NVIDIA GeForce RTX 4090", "bf16", 165.2, 1008),
        ("Tesla T4", "fp16", 65, 320),
        ("Tesla V100-SXM2-16GB", "fp16", 125, 900),
    ],
)
def test_a_known_card_has_its_stated_peak(name: str, dtype: str, tflops: float, gb_per_s: float) -> None:
    peak = peaks.lookup(card(name), dtype, NOTHING)
    assert peak.flops_per_s == pytest.approx(tflops * 1e12)
    assert peak.bytes_per_s == pytest.approx(gb_per_s * 1e9)
    assert peak.source is not None
    assert "stated" in peak.source


@pytest.mark.parametrize(
    "name", ["NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 D", "NVIDIA H20 NVL", "Some Card"]
)
def test_a_like_name_is_not_the_card(name: str) -> None:
    assert peaks.lookup(card(name), "bf16", NOTHING) == peaks.Peak()


def test_a_type_that_nobody_states_stays_unknown() -> None:
    """A T4 runs bf16 emulated: no peak, never an infinite or a borrowed one."""
    peak = peaks.lookup(card("Tesla T4", "sm_75"), "bf16", NOTHING)
    assert peak.flops_per_s is None
    assert peak.bytes_per_s == pytest.approx(320e9)


@pytest.mark.parametrize(
    ("name", "arch", "cores", "mhz", "dtype", "tflops"),
    [
        ("NVIDIA GeForce RTX 3090", "sm_86", 82, 1695, "bf16", 71),
        ("NVIDIA GeForce RTX 4090", "sm_89", 128, 2520, "fp16", 165.2),
        ("NVIDIA GeForce RTX 4090", "sm_89", 128, 2520, "int8", 660.6),
        ("NVIDIA GeForce RTX 5090", "sm_120", 170, 2407, "bf16", 209.5),
        ("NVIDIA A100-SXM4-40GB", "sm_80", 108, 1410, "tf32", 156),
        ("NVIDIA H100 80GB HBM3", "sm_90", 132, 1830, "fp8", 1978.9),
        ("Tesla T4", "sm_75", 40, 1590, "fp16", 65),
        ("Tesla V100-SXM2-16GB", "sm_70", 80, 1530, "fp16", 125),
        ("NVIDIA L40S", "sm_89", 142, 2490, "bf16", 362.05),
    ],
)
def test_the_derivation_gives_what_makers_state(
    name: str, arch: str, cores: int, mhz: int, dtype: str, tflops: float
) -> None:
    stated = peaks.lookup(card(name), dtype, NOTHING)
    assert stated.flops_per_s == pytest.approx(tflops * 1e12)
    other = "Unlisted GeForce" if "GeForce" in name else "Unlisted"
    properties = SimpleNamespace(clock_rate=mhz * 1000, memory_clock_rate=1_215_000, memory_bus_width=5120)
    derived = peaks.lookup(card(other, arch, cores=cores), dtype, properties)
    assert derived.flops_per_s == pytest.approx(tflops * 1e12, rel=0.02)
    assert derived.bytes_per_s == pytest.approx(1555.2e9)
    assert derived.boost_mhz == mhz
    assert derived.source is not None
    assert "derived" in derived.source


def test_missing_clocks_and_other_kinds_are_unknown() -> None:
    assert peaks.lookup(card("Unlisted", "sm_90", cores=100), "bf16", NOTHING) == peaks.Peak()
    assert peaks.lookup(card("Unlisted", "sm_37", cores=13), "bf16", SimpleNamespace(clock_rate=1)) == peaks.Peak()
    assert peaks.lookup(card("anything", kind="cpu"), "fp32") == peaks.Peak()
    assert peaks.lookup(card("Unlisted", kind="xpu"), "fp32") == peaks.Peak()


def test_the_data_file_agrees_with_published_figures() -> None:
    """Peaks in results/reference, read from other sources, differ by rounding at most."""
    names = {
        "A100 SXM": "NVIDIA A100-SXM4-80GB",
        "H100 SXM": "NVIDIA H100 80GB HBM3",
        "H100 PCIe": "NVIDIA H100 PCIe",
        "H200 SXM": "NVIDIA H200",
        "B200": "NVIDIA B200",
        "MI300X": "AMD Instinct MI300X",
        "L40S": "NVIDIA L40S",
        "L4": "NVIDIA L4",
        "RTX 3090": "NVIDIA GeForce RTX 3090",
        "RTX 4090": "NVIDIA GeForce RTX 4090",
        "RTX 5090": "NVIDIA GeForce RTX 5090",
        "T4": "Tesla T4",
        "V100 SXM2": "Tesla V100-SXM2-16GB",
        "MTT S4000": "MTT S4000",
    }
    compared = 0
    for path in PUBLISHED.glob("*.csv"):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                dtype = row.get("metric", "").removesuffix("_dense")
                if row.get("kind") != "peak" or dtype not in dtypes.DTYPES or row["card"] not in names:
                    continue
                peak = peaks.lookup(card(names[row["card"]], kind="cuda"), dtype, NOTHING)
                assert peak.flops_per_s == pytest.approx(float(row["value"]) * 1e12, rel=0.01), row
                compared += 1
    assert compared >= 10


def test_a_type_may_hold_at_another_clock() -> None:
    hopper = card("NVIDIA H100 80GB HBM3")
    assert peaks.lookup(hopper, "fp32", NOTHING).boost_mhz == 1980
    assert peaks.lookup(hopper, "bf16", NOTHING).boost_mhz == 1830
    assert "at 1980 MHz boost" in str(peaks.lookup(hopper, "fp32", NOTHING).source)


def test_a_derived_peak_is_an_upper_bound_and_claims_no_tensor_cores_that_are_not_there() -> None:
    properties = SimpleNamespace(clock_rate=1_700_000, memory_clock_rate=6_000_000, memory_bus_width=192)
    turing = card("NVIDIA GeForce GTX 1660 Ti", "sm_75", cores=24)
    assert peaks.lookup(turing, "fp16", properties).flops_per_s is None
    assert peaks.lookup(turing, "int8", properties).flops_per_s is None
    assert "an upper bound" in str(peaks.lookup(turing, "fp32", properties).source)
    assert peaks.lookup(card("NVIDIA GeForce RTX 2060", "sm_75", cores=30), "fp16", properties).flops_per_s
    # firmware halves the L20's tensor rates, below what its clocks would give
    capped = peaks.lookup(card("NVIDIA L20", "sm_89", cores=92), "fp8", properties)
    assert capped.flops_per_s == pytest.approx(239e12)
