"""Copy and triad: the bytes by hand, the output element by element, and what a wrong output does."""

from __future__ import annotations

import pytest
import torch

from bench.measure import devices
from bench.model import BenchError, BuildContext, Device, Skip
from bench.workloads.bandwidth import plan as bandwidth
from bench.workloads.bandwidth.options import BandwidthOptions
from bench.workloads.transformer import torch_device

CPU = devices.cpu()


@pytest.fixture
def job(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch_device, "cache_bytes", lambda _device: 1 << 20)
    (variant,) = bandwidth.plan(CPU, BandwidthOptions(pattern=(request.param,)), smoke=True)
    made = bandwidth.build(CPU, variant, BuildContext(seed=5))
    yield made
    made.close()


@pytest.mark.parametrize(("job", "arrays"), [("copy", 2), ("triad", 3)], indirect=["job"])
def test_bytes_are_those_of_every_array_once(job, arrays) -> None:
    assert job.facts.work_unit == "B"
    assert job.facts.work_per_iteration == arrays * (16 << 20)
    assert job.facts.memory_bytes == arrays * (16 << 20)
    assert job.facts.cache_share_bound == pytest.approx((1 << 20) / (arrays * (16 << 20)))


@pytest.mark.parametrize("job", ["copy", "triad"], indirect=True)
def test_the_right_output_passes_and_is_never_judged_twice(job) -> None:
    assert job.verify().ok
    job.launch(2)
    job.sync()
    assert job.audit().ok
    assert torch.isnan(job._target).all(), "what a later audit sees is new work"


@pytest.mark.parametrize("job", ["copy", "triad"], indirect=True)
def test_one_wrong_element_is_found(job) -> None:
    job.launch(1)
    job.sync()
    job._target[12345] += 1e-3
    audit = job.audit()
    assert not audit.ok
    assert audit.reasons == (f"1 of {job._target.numel()} elements are wrong",)


@pytest.mark.parametrize("job", ["copy"], indirect=True)
def test_a_pass_that_does_not_run_is_found(job) -> None:
    job._run = lambda: None
    assert not job.verify().ok


def test_arrays_are_longer_than_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = []

    def refuse(_device: Device, bytes_: int, _label: str) -> None:
        needed.append(bytes_)
        raise Skip("no", "x")

    monkeypatch.setattr(bandwidth.memory, "require", refuse)
    monkeypatch.setattr(torch_device, "cache_bytes", lambda _device: 256 << 20)
    (copy, triad) = bandwidth.plan(CPU, BandwidthOptions())
    for variant in (copy, triad):
        with pytest.raises(Skip):
            bandwidth.build(CPU, variant)
    assert needed == [2 * (1 << 30), 3 * (1 << 30)]


@pytest.mark.parametrize(("pattern", "says"), [(("swap",), "no pattern named 'swap'"), ((), "no pattern is named")])
def test_unknown_patterns(pattern: tuple[str, ...], says: str) -> None:
    with pytest.raises(BenchError, match=says):
        BandwidthOptions(pattern=pattern)
