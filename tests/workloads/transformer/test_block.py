"""Whole blocks: right beside a float64 reference, wrong ones caught, work and memory as announced."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from bench.model import BenchError, Device, Job, Skip, Variant
from bench.workloads import Request, load
from bench.workloads.transformer import (
    block,
    dtypes,
    flops,
    functional,
    gemm,
    graphs,
    memory,
    phases,
    shapes,
    torch_device,
)
from bench.workloads.transformer.block import Block
from bench.workloads.transformer.inputs import INPUT_KINDS, Values
from bench.workloads.transformer.shapes import Shape
from bench.workloads.transformer.train import TrainBlock
from tests.support import transformer_reference as reference

CPU = Device("cpu", 0, "a CPU", cores=2, arch="x86_64")
DENSE = Shape("dense", 64, 4, heads=4, kv_heads=2, head_dim=16, ffn=96, vocab=256, rope_theta=10000.0)
MIXTURE = dataclasses.replace(DENSE, name="mixture", experts=4, top_k=2)
SHAPES = [DENSE, MIXTURE]
TOLERANCE = {"fp32": 2e-5, "fp16": 2e-2, "bf16": 1e-1}


@pytest.fixture(autouse=True)
def one_thread():
    """Two threads on busy cores wait for each other at every small operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def values(seed=1, kind="normal"):
    return Values(CPU, kind, seed)


def made(shape, dtype="fp32", phase="prefill", batch=2, seq=12):
    one = Block(CPU, shape, dtypes.lookup(dtype), phase, batch, seq, values())
    with torch.no_grad():
        one.prepare()
    return one


def trained(shape, dtype="fp32", batch=2, seq=12):
    one = TrainBlock(CPU, shape, dtypes.lookup(dtype), batch, seq, values())
    one.prepare()
    return one


def right(found):
    return all(value <= 1 for value in found.values())


# -- against the reference --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_prefill_agrees_with_the_reference(shape, dtype):
    one = made(shape, dtype)
    x = one.buffers["x"].double().view(2, 12, -1)
    wanted = torch.cat([reference.block(shape, reference.wide(one.weights), sequence) for sequence in x])
    if shape.experts > 1 and dtype != "fp32":
        # A token whose two best experts tie in a narrow type may rightly go elsewhere than in float64.
        same = ((one.buffers["y"].double() - wanted).norm(dim=1) < 0.1 * wanted.norm(dim=1)).double().mean()
        assert same >= 0.8
    else:
        torch.testing.assert_close(one.buffers["y"].double(), wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert right(one.check("cpu"))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_training_agrees_with_the_reference(shape):
    one = trained(shape, batch=1, seq=8)
    weights = {name: tensor.requires_grad_() for name, tensor in reference.wide(one.weights).items()}
    x = one.x.detach().double().requires_grad_()
    # The plain reference takes a float out of its norm, so gradients come from the same formulas without that step.
    y = reference_with_gradients(shape, weights, x)
    torch.testing.assert_close(y, reference.block(shape, reference.wide(one.weights), x.detach()))
    gradients = torch.autograd.grad(y, [x, *weights.values()], one.dy.double())
    wanted = dict(zip(["x", *weights], gradients, strict=True))
    torch.testing.assert_close(one.tape.stages["dx"].double(), wanted["x"], rtol=1e-4, atol=1e-4)
    for name in ("norm1", "norm2"):
        torch.testing.assert_close(one.tape.stages[f"d{name}"].double(), wanted[name], rtol=1e-4, atol=1e-4)
    for name, gradient in one.gradients.items():
        stack, _, expert = name.partition(".")
        target = wanted[stack][int(expert)] if expert else wanted[stack]
        torch.testing.assert_close(gradient.double(), target, rtol=1e-4, atol=1e-4)


def reference_with_gradients(shape, weights, x):
    original = reference.norm
    reference.norm = lambda x, w, eps: x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * w
    try:
        return reference.block(shape, weights, x)
    finally:
        reference.norm = original


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_decode_on_a_cache_equals_the_last_token_of_prefill(shape, dtype):
    whole = made(shape, dtype, batch=3, seq=10)
    step = made(shape, dtype, "decode", batch=3, seq=10)
    step.weights = whole.weights
    step._projections.clear()
    _, k, v = whole.qkv_views()
    step.buffers["keys"][:, :, :-1] = k[:, :, :-1]
    step.buffers["values"][:, :, :-1] = v[:, :, :-1]
    step.buffers["x"].copy_(whole.buffers["x"].view(3, 10, -1)[:, -1])
    step.poison()
    step.prepare()
    last = whole.buffers["y"].view(3, 10, -1)[:, -1]
    torch.testing.assert_close(step.buffers["y"], last, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert right(step.check("cpu"))
    # The cache was needed: with another token in it the answer is another.
    step.buffers["keys"][:, :, 0] += 1
    step.run()
    assert not torch.allclose(step.buffers["y"], last, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


# -- wrong blocks are caught ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("phase", ["prefill", "decode"])
@pytest.mark.parametrize("name", ["qkv", "o", "gate_up", "down", "norm1", "norm2", "router"])
def test_a_wrong_weight_is_caught(name, phase, dtype):
    one = made(MIXTURE, dtype, phase)
    assert right(one.check("cpu"))
    weight = getattr(one.weights, name)
    before = weight.clone()
    weight.flatten()[::3] += 0.5
    one.run()
    weight.copy_(before)
    assert not right(one.check("cpu"))


def test_a_mask_that_is_not_causal_is_caught(monkeypatch):
    right_way = block.attend
    monkeypatch.setattr(block, "attend", lambda q, k, v, causal, device: right_way(q, k, v, False, device))
    assert made(DENSE).check("cpu")["attention"] > 1
    monkeypatch.setattr(functional, "attend", lambda q, k, v, causal, device: right_way(q, k, v, False, device))
    found = trained(DENSE).check("cpu")
    assert found["attention"] > 1
    assert found["attention_dx"] > 1


@pytest.mark.parametrize("shift", [1, -1])
def test_a_mask_off_by_one_is_caught(monkeypatch, shift):
    def attend(q, k, v, causal, device):
        mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(shift)
        mask[0, 0] = True
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)

    monkeypatch.setattr(block, "attend", attend)
    assert made(DENSE).check("cpu")["attention"] > 1


def test_a_skipped_expert_is_caught():
    one = made(MIXTURE)
    one.poison()
    one._per_expert = lambda source, stack, target: Block._per_expert(
        one, source, stack[:3] if target == "expert_out" else stack, target
    )
    kept, one.counts = one.counts, one.counts
    try:
        one.run()
    except IndexError:
        one.counts = kept[:3]
        one.run()
        one.counts = kept
    found = one.check("cpu")
    assert not found["down"] <= 1


def test_a_wrong_share_or_route_is_caught():
    one = made(MIXTURE)
    ids, shares, order = one._route
    one._route = (ids, torch.full_like(shares, 0.5), order)
    assert not right(one.check("cpu"))
    one._route = (ids.flip(0), shares, order)
    assert not right(one.check("cpu"))


def test_a_forgotten_residual_position_or_cache_write_is_caught(monkeypatch):
    one = made(DENSE)
    one.buffers["y"].copy_(one.buffers["down"])
    assert one.check("cpu")["residual2"] > 1
    one = made(DENSE)
    one.cos = one.cos.roll(1, 0)
    assert one.check("cpu")["rope"] > 1
    step = made(DENSE, phase="decode")
    step.buffers["keys"][:, :, -1] = 0
    assert step.check("cpu")["attention"] == math.inf


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_an_expert_without_tokens_is_right(dtype):
    shape = dataclasses.replace(MIXTURE, experts=8)
    for one in (made(shape, dtype, batch=1, seq=2), made(shape, dtype, "decode", 1, 5), trained(shape, dtype, 1, 2)):
        assert 0 in one.counts
        assert one.experts_used() == sum(count > 0 for count in one.counts) < 8
        found = one.check("cpu")
        assert right(found), found
    one.gradients[f"down.{one.counts.index(0)}"][0, 0] = 1e-3
    assert not right(one.check("cpu"))


@pytest.mark.parametrize("name", ["qkv", "o", "router", "gate_up.0", "down.2"])
def test_a_wrong_weight_gradient_is_caught(name):
    one = trained(MIXTURE)
    assert right(one.check("cpu"))
    one.gradients[name][1, 2] += 1.0
    assert not right(one.check("cpu"))


@pytest.mark.parametrize("name", ["dx", "dnorm1", "dnorm2", "d_h2"])
def test_a_wrong_input_gradient_is_caught(name):
    one = trained(MIXTURE)
    one.tape.stages[name] = one.tape.stages[name] * 1.01
    assert not right(one.check("cpu"))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
def test_output_of_an_earlier_window_is_no_proof(phase, shape, monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 19)
    job = phases.build(CPU, Variant("transformer", phase, shape.name, "fp32", 2, 8), shape)
    assert isinstance(job, Job)
    assert job.verify().ok
    job._launched = 1
    assert not job.audit().ok
    job.launch(3)
    audit = job.audit()
    assert audit.ok, audit.reasons
    assert len(job._blocks) > 1
    job.close()
    job.close()


# -- the count of work ------------------------------------------------------------------------------------------------


def full_attention(shape, batch, seq, phase):
    """FLOPs that torch counts for attention: it knows no mask."""
    rows = 1 if phase == "decode" else seq
    return flops.attention_flops(shape, batch, rows * seq) * (3 if phase == "train" else 1)


@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
@pytest.mark.parametrize("name", [*shapes.names(), "mixture"])
def test_flops_agree_with_torchs_own_counter(name, phase):
    shape = MIXTURE if name == "mixture" else shapes.load(name)
    batch, seq = 2, 8
    meta = Device("meta", 0, "meta")
    dtype = dtypes.lookup("bf16")
    rows = batch if phase == "decode" else batch * seq
    weights = block.Weights(
        **{"router": None}
        | {
            key: torch.empty(size, dtype=dtype.torch_dtype, device="meta", requires_grad=phase == "train")
            for key, size in block.weight_shapes(shape).items()
        }
    )
    x = torch.empty(rows, shape.d_model, dtype=dtype.torch_dtype, device="meta", requires_grad=phase == "train")
    positions = 1 if phase == "decode" else seq
    rope = tuple(
        torch.empty(positions, 1, shape.head_dim // 2, dtype=dtype.torch_dtype, device="meta") for _ in range(2)
    )
    routed = rows * shape.top_k
    counts = [routed // shape.experts] * shape.experts
    counts[-1] += routed - sum(counts)

    def run():
        if phase != "decode":
            return functional.forward(shape, meta, weights, x, rope, batch, counts)
        cache = tuple(
            torch.empty(batch, shape.kv_heads, seq, shape.head_dim, dtype=dtype.torch_dtype, device="meta")
            for _ in range(2)
        )
        return functional.forward(shape, meta, weights, x, rope, batch, counts, cache=cache)

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        y = run()
        if phase == "train":
            y.backward(torch.empty_like(y))
    counted = counter.get_total_flops()
    ours = block.flops_per_run(shape, phase, batch, seq)
    causal = full_attention(shape, batch, seq, phase) - (
        ours - (3 if phase == "train" else 1) * flops.linear_flops(shape, rows)
    )
    assert counted == ours + causal
    if phase == "decode":
        assert causal == 0
    else:
        # The mask spares (s - 1)/2s of the pairs.
        assert causal == full_attention(shape, batch, seq, phase) * (seq - 1) // (2 * seq)


def test_flops_of_what_really_runs(monkeypatch):
    """The job's own code, not only the formulas' twin, does the FLOPs that it states."""
    for phase, one in (("prefill", made(MIXTURE)), ("decode", made(MIXTURE, phase="decode"))):
        with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
            one.run()
        rows = 2 if phase == "decode" else 24
        assert counter.get_total_flops() == flops.linear_flops(MIXTURE, rows) + full_attention(MIXTURE, 2, 12, phase)
    one = trained(MIXTURE)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        one.run()
    assert counter.get_total_flops() == 3 * flops.linear_flops(MIXTURE, 24) + full_attention(MIXTURE, 2, 12, "train")


@pytest.mark.parametrize("name", shapes.names())
def test_gemm_flops_agree_with_torchs_own_counter(name):
    shape = shapes.load(name)
    plan = gemm.layout(shape, dtypes.lookup("bf16"), 64, None, 32 << 20)
    with FlopCounterMode(display=False) as counter:
        for product, rows in plan.products:
            for _ in range(product.experts):
                x = torch.empty(rows, product.k, device="meta")
                torch.mm(x, torch.empty(product.n, product.k, device="meta").t())
    assert counter.get_total_flops() == plan.flops_per_iteration


def test_published_sizes():
    """Parameters of a block × layers, embeddings aside, as the models' cards round them."""
    eight = shapes.load("llama3-8b")
    assert flops.block_weights(eight) * eight.layers + 2 * eight.vocab * eight.d_model == pytest.approx(
        8.03e9, rel=2e-3
    )
    seventy = shapes.load("llama3-70b")
    total = flops.block_weights(seventy) * seventy.layers + 2 * seventy.vocab * seventy.d_model
    assert total == pytest.approx(70.6e9, rel=2e-3)
    mixtral = shapes.load("mixtral-8x7b")
    assert flops.block_weights(mixtral) * 32 + 2 * 32000 * 4096 == pytest.approx(46.7e9, rel=2e-3)
    assert flops.block_weights(mixtral, 2) * 32 + 2 * 32000 * 4096 == pytest.approx(12.9e9, rel=5e-3)


def test_intensity_of_decode_grows_with_the_batch():
    shape, dtype = shapes.load("llama3-8b"), dtypes.lookup("bf16")

    def intensity(batch):
        work = block.flops_per_run(shape, "decode", batch, 2048)
        return work / phases.least_bytes(shape, dtype, "decode", batch, 2048, 1)

    assert intensity(1) == pytest.approx(1, rel=0.1)
    assert intensity(1) < intensity(16) < intensity(64) < 64


# -- memory -----------------------------------------------------------------------------------------------------------


class Allocations(TorchDispatchMode):
    """Bytes of tensors alive, and their peak: every storage that an operation returns, until it is freed."""

    def __init__(self):
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in self.alive:
                    self.alive[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self.alive.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self.alive.values()))
        return out


@pytest.mark.parametrize(
    ("phase", "shape", "dtype", "batch", "seq"),
    [
        ("gemm", "tiny", "fp32", 1, 64),
        ("gemm", "tiny", "bf16", 1, 256),
        # Checked in several steps: what one leaves must not stand beside the next.
        ("gemm", "tiny", "fp32", 1, 2048),
        ("prefill", "tiny", "fp32", 1, 2048),
        ("prefill", "tiny", "fp32", 1, 256),
        ("prefill", "tiny", "bf16", 2, 128),
        ("decode", "tiny", "fp32", 4, 256),
        ("decode", "tiny", "bf16", 16, 256),
        ("train", "tiny", "fp32", 1, 256),
        ("train", "tiny", "bf16", 2, 64),
        ("train", "tiny", "bf16", 1, 512),
        # The check of attention's gradient makes the peak.
        ("train", "tiny", "fp32", 1, 2048),
    ],
)
def test_peak_memory_is_as_announced(phase, shape, dtype, batch, seq):
    gc.collect()
    with Allocations() as allocations:
        job = load("transformer").build(CPU, Variant("transformer", phase, shape, dtype, batch, seq))
        assert job.verify().ok
        job.launch(2)
        assert job.audit().ok
    assert job.facts.memory_bytes == pytest.approx(allocations.peak, rel=0.05)
    job.close()


@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
def test_keys_and_values_repeated_to_all_heads_are_announced(phase, monkeypatch):
    """Where a GPU's fused attention knows no groups; tensors lie on the CPU."""
    shape = dataclasses.replace(shapes.load("tiny"), d_model=256, ffn=256, heads=16, kv_heads=2, head_dim=64)
    monkeypatch.setattr(block, "groups_unfused", lambda device, value_bytes: True)
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1)
    gc.collect()
    with Allocations() as allocations:
        job = phases.build(CPU, Variant("transformer", phase, "tiny", "fp32", 4, 1024), shape)
        assert job.verify().ok
        job.launch(2)
        assert job.audit().ok
    # Without them the figure would be out by more than what is allowed.
    assert block.expanded_bytes(shape, dtypes.lookup("fp32"), 4, 1024, CPU) > 0.1 * allocations.peak
    assert job.facts.memory_bytes == pytest.approx(allocations.peak, rel=0.05)
    job.close()


def test_only_gpus_without_grouped_fused_attention_repeat_keys():
    old, new = Device("cuda", 0, "old", arch="sm_75"), Device("cuda", 0, "new", arch="sm_90")
    shape, fp32, fp16 = shapes.load("tiny"), dtypes.lookup("fp32"), dtypes.lookup("fp16")
    whole = 2 * 2 * shape.heads * 64 * shape.head_dim
    assert block.expanded_bytes(shape, fp16, 2, 64, old) == 2 * whole
    assert block.expanded_bytes(shape, fp16, 2, 64, new) == block.expanded_bytes(shape, fp16, 2, 64, CPU) == 0
    assert block.expanded_bytes(shape, fp32, 2, 64, new) == 4 * whole
    alike = dataclasses.replace(shape, kv_heads=shape.heads)
    assert block.expanded_bytes(alike, fp32, 2, 64, new) == 0
    large = shapes.load("llama3-8b")
    sizes = [phases.memory_bytes(large, fp16, "prefill", 2, 1024, 3, device) for device in (new, old)]
    assert sizes[1] - sizes[0] == 3 * 2 * (2 * 2 * large.heads * 1024 * large.head_dim)


# -- options and refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
@pytest.mark.parametrize("kind", INPUT_KINDS)
def test_every_kind_of_input_is_verified(kind, phase, monkeypatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 16)
    job = phases.build(CPU, Variant("transformer", phase, "dense", "bf16", 2, 8, options={"inputs": kind}), DENSE)
    audit = job.verify()
    assert audit.ok, audit.reasons
    assert job.facts.options == f"inputs={kind} threads=1"


def test_a_block_in_int8_or_compiled_training_is_skipped():
    with pytest.raises(Skip, match="gemm only"):
        phases.build(CPU, Variant("transformer", "prefill", "dense", "int8", 1, 8), DENSE)
    with pytest.raises(Skip, match="compile"):
        phases.build(CPU, Variant("transformer", "train", "dense", "fp32", 1, 8, options={"compile": True}), DENSE)


def test_what_does_not_fit_is_skipped_with_the_bytes(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 20)
    with pytest.raises(Skip, match=r"needs \d+ bytes"):
        phases.build(CPU, Variant("transformer", "decode", "tiny", "fp32", 1, 8), shapes.load("tiny"))


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_compiled_block_is_held_to_the_checked_one(phase, monkeypatch):
    """torch.compile is stood in for: what is tested is that a wrong fused result cannot pass."""
    monkeypatch.setattr(torch_device, "cache_bytes", lambda device: 1 << 16)
    monkeypatch.setattr(torch, "compile", lambda function, **kwargs: function)
    variant = Variant("transformer", phase, "dense", "fp32", 2, 8, options={"compile": True})
    job = phases.build(CPU, variant, DENSE)
    assert job.verify().ok
    assert job.facts.implementation.endswith("-compile")
    assert "compile=on" in job.facts.options
    job.launch(1)
    job._outputs[job._next - 1] *= 1.01
    assert not job.audit().ok
    job._launched = 1
    assert not job.audit().ok


class FakeGraphs:
    """Stands in for torch.cuda: a captured graph replays the function that was captured."""

    def __init__(self):
        self.log = []

    def install(self, monkeypatch):
        fakes = self

        class Context:
            def __init__(self, *args):
                fakes.log.append("enter")

            def __enter__(self):
                return self

            def __exit__(self, *args):
                return False

        class Graph:
            def replay(self):
                fakes.log.append("replay")

        class Stream:
            def wait_stream(self, other):
                fakes.log.append("wait")

        for name, fake in (("device", Context), ("stream", Context), ("graph", Context)):
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)


def test_capture_warms_up_captures_once_and_replays(monkeypatch):
    fakes = FakeGraphs()
    fakes.install(monkeypatch)
    runs = []
    replay = graphs.capture(Device("cuda", 0, "fake"), lambda: runs.append(1))
    assert len(runs) == 3
    replay()
    replay()
    assert len(runs) == 3
    assert fakes.log.count("replay") == 2


def test_a_shape_file_is_run_and_a_bad_one_refused(tmp_path):
    good = tmp_path / "my.toml"
    text = (shapes.SHAPES_DIR / "tiny.toml").read_text().replace('"tiny"', '"mine"').replace("ffn = 1536", "ffn = 256")
    good.write_text(text)
    planned = load("transformer").plan(CPU, Request(phases=("prefill",), seqs=(8,), options={"shape_file": good}))
    assert [(v.shape, v.seq) for v in planned] == [("mine", 8)]
    both = load("transformer").plan(CPU, Request(shapes=("tiny",), options={"shape_file": good}))
    assert [v.shape for v in both] == ["tiny", "mine"]
    assert "shape_file" not in both[0].options
    bad = tmp_path / "bad.toml"
    for old, new, words in (
        ("ffn = 256", "ffn = 'wide'", "ffn"),
        ("ffn = 256", "", "lacks 'ffn'"),
        ("ffn = 256", "fnn = 256", "unknown key 'fnn'"),
        ("kv_heads = 2", "kv_heads = 3", "KV heads"),
        ("head_dim = 64", "head_dim = 63", "odd"),
        ("ffn = 256", "ffn = 256\ntop_k = 4", "top_k"),
        ("ffn = 256", "ffn = ", "not valid TOML"),
    ):
        bad.write_text(text.replace(old, new))
        with pytest.raises(BenchError, match=words):
            shapes.load(None, str(bad))
    with pytest.raises(BenchError, match="cannot be read"):
        shapes.load(None, str(tmp_path / "none.toml"))


def test_the_default_suites_name_what_exists():
    workload = load("transformer")
    gpu = Device("cuda", 0, "NVIDIA H100 80GB HBM3", arch="sm_90", memory_bytes=80 << 30)
    turing = Device("cuda", 0, "Tesla T4", arch="sm_75")
    for device in (CPU, gpu, turing):
        for request in (Request(), Request(smoke=True)):
            planned = workload.plan(device, request)
            assert len({(v.phase, v.shape, v.dtype, v.batch, v.seq) for v in planned}) == len(planned)
            assert all(v.batch and v.seq for v in planned)
    assert "fp8" in {v.dtype for v in workload.plan(gpu, Request())}
    assert "fp8" not in {v.dtype for v in workload.plan(turing, Request())}
    assert {v.shape for v in workload.plan(CPU, Request(smoke=True))} == {"tiny"}
    kinds = workload.plan(CPU, Request(shapes=("tiny",), options={"inputs": ("zeros", "normal")}))
    assert [v.options["inputs"] for v in kinds] == ["zeros", "normal"]
    sized = workload.plan(gpu, Request(phases=("decode",), batches=(1, 16, 64, 256)))
    assert [(v.batch, v.seq) for v in sized] == [(1, 2048), (16, 2048), (64, 2048), (256, 2048)]
