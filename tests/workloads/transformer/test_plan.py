"""What is planned: combinations, default suites, names that are refused."""

from __future__ import annotations

import pytest

from bench.model import BenchError, Device
from bench.workloads import load
from bench.workloads.transformer import (
    flops,
    shapes,
)
from bench.workloads.transformer.options import TransformerOptions
from tests.support.transformer import (
    CPU,
    PRODUCTS,
)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"shape": ("gpt9",)}, "llama3-8b"),
        ({"dtype": ("fp12",)}, "bf16"),
        ({"phase": ("dream",)}, "gemm"),
        ({"inputs": ("sevens",)}, "structured"),
        ({"seq": (0,)}, "whole numbers from 1"),
    ],
)
def test_an_unknown_name_is_refused_with_the_choices(changes: dict[str, object], names: str) -> None:
    with pytest.raises(BenchError, match=names):
        load("transformer").plan(CPU, TransformerOptions(**changes))  # type: ignore[arg-type]


def test_detail_adds_a_variant_per_product() -> None:
    planned = load("transformer").plan(CPU, TransformerOptions(shape=("tiny",), dtype=("fp32",), detail=True))
    assert [v.product for v in planned] == [None, *PRODUCTS]
    assert flops.product_flops(shapes.load("tiny").products()[0], 10) == 2 * 10 * 768 * 512


def test_a_shape_file_is_planned_under_its_own_name(tmp_path):
    good = tmp_path / "my.toml"
    text = (shapes.SHAPES_DIR / "tiny.toml").read_text().replace('"tiny"', '"mine"')
    good.write_text(text)
    planned = load("transformer").plan(CPU, TransformerOptions(phase=("prefill",), seq=(8,), shape_file=good))
    assert [(v.shape, v.seq) for v in planned] == [("mine", 8)]
    both = load("transformer").plan(CPU, TransformerOptions(shape=("tiny",), shape_file=good))
    assert [v.shape for v in both] == ["tiny", "mine"]
    assert both[0].options.shape_file is None


def test_the_default_suites_name_what_exists():
    workload = load("transformer")
    gpu = Device("cuda", 0, "NVIDIA H100 80GB HBM3", arch="sm_90", memory_bytes=80 << 30)
    turing = Device("cuda", 0, "Tesla T4", arch="sm_75")
    for device in (CPU, gpu, turing):
        for smoke in (False, True):
            planned = workload.plan(device, TransformerOptions(), smoke=smoke)
            assert len({(v.phase, v.shape, v.dtype, v.batch, v.seq) for v in planned}) == len(planned)
            assert all(v.batch and v.seq for v in planned)
    assert "fp8" in {v.dtype for v in workload.plan(gpu, TransformerOptions())}
    assert "fp8" not in {v.dtype for v in workload.plan(turing, TransformerOptions())}
    assert {v.shape for v in workload.plan(CPU, TransformerOptions(), smoke=True)} == {"tiny"}
    kinds = workload.plan(CPU, TransformerOptions(shape=("tiny",), inputs=("zeros", "normal")))
    assert [v.options.inputs for v in kinds] == ["zeros", "normal"]
    sized = workload.plan(gpu, TransformerOptions(phase=("decode",), batch=(1, 16, 64, 256)))
    assert [(v.batch, v.seq) for v in sized] == [(1, 2048), (16, 2048), (64, 2048), (256, 2048)]
