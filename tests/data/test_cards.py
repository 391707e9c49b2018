"""cards.toml: whole, and each device name finds its own card and no other."""

from __future__ import annotations

import re

import pytest

from bench.data import cards
from bench.workloads.transformer.dtypes import DTYPES


def test_the_file_is_whole() -> None:
    names = [card.name for card in cards.every()]
    assert len(names) == len(set(names))
    for card in cards.every():
        assert re.compile(card.pattern)
        assert bool(card.source.strip()) == bool(card.tflops or card.memory_gb_per_s)
        assert set(card.tflops) <= set(DTYPES)
        assert all(1 < value < 20000 for value in card.tflops.values())
        # a narrower type is at least as fast
        rates = [card.tflops[name] for name in ("fp32", "tf32", "bf16", "fp8") if name in card.tflops]
        assert rates == sorted(rates)


@pytest.mark.parametrize(
    ("device", "names"),
    [
        ("NVIDIA H100 80GB HBM3", ("H100 SXM",)),
        ("NVIDIA H100 PCIe", ("H100 PCIe",)),
        ("NVIDIA H100 NVL", ("H100 NVL",)),
        ("NVIDIA H200", ("H200 SXM",)),
        ("NVIDIA B200", ("B200",)),
        ("NVIDIA A100-SXM4-80GB", ("A100 SXM",)),
        ("A100-SXM4-80GB", ("A100 SXM",)),
        ("NVIDIA A100-SXM4-40GB", ("A100 SXM 40GB", "A100 SXM")),
        ("NVIDIA A100 80GB PCIe", ("A100 PCIe",)),
        ("NVIDIA A100-PCIE-40GB", ("A100 PCIe 40GB", "A100 PCIe")),
        ("NVIDIA GeForce RTX 3090", ("RTX 3090",)),
        ("NVIDIA GeForce RTX 3090 Ti", ("RTX 3090 Ti",)),
        ("NVIDIA GeForce RTX 4090", ("RTX 4090",)),
        ("nvidia geforce rtx 5090", ("RTX 5090",)),
        ("NVIDIA L40S", ("L40S",)),
        ("NVIDIA L40", ("L40",)),
        ("NVIDIA L4", ("L4",)),
        ("Tesla T4", ("T4",)),
        ("NVIDIA Tesla V100-SXM2-16GB", ("V100 SXM2",)),
        ("Tesla V100-PCIE-32GB", ("V100 PCIe",)),
        ("AMD Instinct MI300X", ("MI300X",)),
        ("MTT S4000", ("MTT S4000",)),
        ("MetaX C500", ("MetaX C500",)),
        ("MXC500", ("MetaX C500",)),
        ("NVIDIA CMP 170HX", ("CMP 170HX",)),
    ],
)
def test_a_driver_s_name_finds_its_card(device: str, names: tuple[str, ...]) -> None:
    card = cards.find(device)
    assert card is not None
    assert card.names == names


@pytest.mark.parametrize(
    "device",
    [
        "NVIDIA GH200 480GB",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "Intel(R) Xeon(R) Processor",
        "",
    ],
)
def test_a_similar_name_is_another_card(device: str) -> None:
    card = cards.find(device)
    assert card is None or card.name not in ("H200 SXM", "B200", "RTX 4090")


@pytest.mark.parametrize(
    ("name", "device", "meant"),
    [
        ("H100", "NVIDIA H100 80GB HBM3", True),
        ("h100 sxm", "NVIDIA H100 80GB HBM3", True),
        ("RTX 4090", "NVIDIA GeForce RTX 4090", True),
        ("A100", "NVIDIA A100-SXM4-80GB", True),
        ("A100", "NVIDIA RTX A1000", False),
        ("H200", "NVIDIA GH200 480GB", False),
        ("H20", "NVIDIA H200", False),
        ("H100 PCIe", "NVIDIA H100 80GB HBM3", False),
    ],
)
def test_who_is_meant_by_a_part_of_a_name(name: str, device: str, meant: bool) -> None:
    assert cards.is_named(name, device) is meant
