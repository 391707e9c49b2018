"""The calls that only a GPU makes, compared with the torch that is installed: signatures, shapes and error types."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.workloads.transformer import attention, dtypes, gemm
from tests.support.transformer import gpu

STUBS = (Path(torch.__file__).parent / "_C" / "__init__.pyi").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (torch.cuda.graph.__init__, ("self", "graph"), {"stream": None}),
        (torch.cuda.CUDAGraph.replay, ("self",), {}),
        (torch.cuda.CUDAGraph.reset, ("self",), {}),
        (torch.cuda.Stream.__new__, ("cls",), {"device": 0}),
        (torch.cuda.device.__init__, ("self", 0), {}),
        (torch.cuda.stream, ("stream",), {}),
        (torch.cuda.synchronize, ("cuda:0",), {}),
        (torch.cuda.mem_get_info, (0,), {}),
        (torch.cuda.memory_allocated, (0,), {}),
        (torch.cuda.max_memory_allocated, (0,), {}),
        (torch.cuda.reset_peak_memory_stats, (0,), {}),
        (torch.cuda.empty_cache, (), {}),
        (torch.cuda.get_device_properties, (0,), {}),
        (torch.backends.cuda.cublas_workspace_size, (), {}),
        (torch.accelerator.synchronize, ("cuda:0",), {}),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_a_call_fits_its_signature(function, arguments, named):
    inspect.signature(function).bind(*arguments, **named)


def test_a_call_that_does_not_fit_is_refused():
    with pytest.raises(TypeError):
        inspect.signature(torch.cuda.graph.__init__).bind("self", "graph", side_stream=None)


@pytest.mark.parametrize("name", ["_cuda_clearCublasWorkspaces", "_cuda_getCublasWorkspaceSize"])
def test_private_functions_exist_in_builds_with_cuda(name):
    """A CPU build lacks them; the stubs, generated from one source for all builds, name them."""
    assert re.search(rf"^def {name}\(\)", STUBS, re.MULTILINE)


def test_the_errors_of_a_device_are_runtime_errors_and_apart():
    """The runner translates RuntimeError; the allocator's refusal is a Skip, and nothing else is."""
    for error in (torch.OutOfMemoryError, torch.AcceleratorError):
        assert issubclass(error, RuntimeError)
    assert not issubclass(torch.AcceleratorError, torch.OutOfMemoryError)
    assert torch.cuda.OutOfMemoryError is torch.OutOfMemoryError


@pytest.fixture
def scaled_mm_without_out(monkeypatch):
    """torch has fake kernels for _scaled_mm but none for its ``out``, whose presence the schema shows."""
    assert "Tensor(a!) out" in str(torch.ops.aten._scaled_mm.out._schema)
    real = torch._scaled_mm
    monkeypatch.setattr(torch, "_scaled_mm", lambda *arguments, out, **named: real(*arguments, **named))  # noqa: PLW0108


def multiply(name, weight_shape, transposed=True):
    dtype = dtypes.lookup(name)
    with FakeTensorMode():
        x = torch.empty(32, 64, dtype=dtype.torch_dtype, device="cuda:0")
        weight = torch.empty(weight_shape, dtype=dtype.torch_dtype, device="cuda:0")
        out = torch.empty(32, 128, dtype=dtype.out_dtype, device="cuda:0")
        call = gemm.Call(name, x, weight, weight.t() if transposed else weight, out)
        return gemm.multiply(dtype, gpu())(call), out


@pytest.mark.usefixtures("scaled_mm_without_out")
@pytest.mark.parametrize("name", list(dtypes.DTYPES))
def test_each_types_product_is_one_that_torch_makes_on_cuda(name):
    product, out = multiply(name, (128, 64))
    assert (product.shape, product.dtype, product.device) == (out.shape, out.dtype, torch.device("cuda", 0))


@pytest.mark.usefixtures("scaled_mm_without_out")
@pytest.mark.parametrize(("name", "shape"), [("fp8", (64, 128)), ("int8", (72, 128)), ("bf16", (72, 128))])
def test_a_product_of_a_wrong_layout_is_refused(name, shape):
    """So these kernels do check: fp8 weights must be column-major, and inner sizes must agree."""
    with pytest.raises(RuntimeError):
        multiply(name, shape, transposed=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("queries", "causal"), [(8, True), (1, False)])
@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_attention_and_norm_of_each_generation_fit_on_cuda(queries, causal, dtype, arch):
    """Sizes, types and devices fit, with keys repeated to all heads or not; an index would need a CUDA build."""
    with FakeTensorMode(), torch.no_grad():
        q = torch.empty(2, 4, queries, 16, dtype=dtype, device="cuda:0")
        k, v = (torch.empty(2, 2, 8, 16, dtype=dtype, device="cuda:0") for _ in range(2))
        out = attention.attend(q, k, v, causal, gpu(arch))
        normed = torch.nn.functional.rms_norm(q, (16,), torch.empty(16, dtype=dtype, device="cuda:0"), 1e-5)
    for result in (out, normed):
        assert (result.shape, result.dtype, result.device) == (q.shape, dtype, torch.device("cuda", 0))
