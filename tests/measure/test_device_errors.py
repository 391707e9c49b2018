"""Out of memory ends one variant, a lost device the run, and the advice suits the kind of device."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import storage
from bench.measure import device_errors, runner
from bench.measure.row import Context
from bench.measure.timing import Timing
from bench.model import BenchError, Device, Measurement, Refusal, Skip, Variant
from bench.power.none import NullMeter
from tests.fakes import workload
from tests.support.paths import ROOT

CPU = Device("cpu", 0, "Example CPU", cores=2, memory_bytes=8 << 30)
A, B = (Variant("fake", shape=name) for name in "ab")
FAST = Timing("standard", 0.05, 0.02, 0.04, 0.01, 0.0, launch_s=0.01, repeats=2)
TORCH_ON_A_CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "40000000000 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize("error", [RuntimeError(TORCH_ON_A_CPU), MemoryError(), RuntimeError("std::bad_alloc")])
@pytest.mark.parametrize("where", ["build", "verify", "window"])
def test_out_of_memory_on_a_cpu_ends_that_variant_only(error: Exception, where: str) -> None:
    class Hungry(workload.FakeJob):
        def verify(self):
            if where == "verify":
                raise error
            return super().verify()

        def audit(self):
            if where == "window" and self.audits == 2:
                raise error
            return super().audit()

    def build(_device: Device, variant: Variant) -> workload.FakeJob:
        if variant is A and where == "build":
            raise error
        return Hungry(variant, None) if variant is A else workload.FakeJob(variant, None)

    workload.FakeJob.alive = 0
    items = list(runner.measure(CPU, [A, B], build, NullMeter("-"), FAST, Context("run", "0"), seed=1))
    (refused,) = [item for item in items if isinstance(item, Refusal)]
    assert refused.variant is A
    assert not refused.wrong
    assert refused.reason.startswith("out of memory on cpu ")
    assert "nvidia" not in refused.reason
    measured = [item for item in items if isinstance(item, Measurement)]
    assert [item.record.shape for item in measured] == ["b", "b"]
    assert [item.row for item in measured] == [1, 2]
    assert workload.FakeJob.alive == 0, "the refused job was not closed"


@pytest.mark.parametrize(
    ("device", "names"),
    [
        (Device("cuda", 0, "Example GPU"), "nvidia-smi"),
        (Device("cuda", 0, "Example C500", maker="MetaX"), "MetaX"),
        (Device("rocm", 0, "Example GPU"), "rocm-smi"),
        (Device("musa", 0, "Example GPU"), "mthreads-gmi"),
        (Device("mlu", 0, "Example GPU"), "cnmon"),
        (Device("xpu", 0, "Example GPU"), "xpu-smi"),
        (CPU, "bitwatt doctor"),
    ],
)
def test_a_failed_device_is_one_sentence_with_advice_for_its_kind(device: Device, names: str) -> None:
    with pytest.raises(BenchError) as caught, device_errors.translate(device, A):
        raise RuntimeError("unspecified launch failure\nmore")
    assert not isinstance(caught.value, Skip)
    assert caught.value.exit_code == 3
    assert names in caught.value.fix
    assert ("nvidia-smi" in caught.value.fix) == device.is_nvidia
    assert "\n" not in str(caught.value)


LIMITED = """
import json, resource, sys
import torch
from bench.measure import session
from bench.measure.plan import OutputOptions, RunPlan, SelectionOptions
from bench.measure.timing import TimingOptions
from bench.power.options import PowerOptions
from bench.workloads.transformer import memory
from bench.workloads.transformer.options import TransformerOptions
from bench.measure.observer import Silent
from pathlib import Path

class Notes(Silent):
    notes = []
    def note(self, message):
        self.notes.append(message)

torch.ones(64, 64) @ torch.ones(64, 64)
size = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (size + (1500 << 20), resource.RLIM_INFINITY))
if sys.argv[2] == "unseen":
    memory.free_bytes = lambda device: None
plan = RunPlan(
    selection=SelectionOptions(device="cpu", workload=("transformer",)),
    transformer=TransformerOptions(shape=("llama3-8b", "tiny"), dtype=("fp32",), seq=(16,)),
    power=PowerOptions(meter="none"),
    timing=TimingOptions(smoke=True, window_s=0.1, warmup_s=0.0),
    output=OutputOptions(out=Path(sys.argv[1])),
)
result = session.run(plan, Notes())
print(json.dumps([[record.shape for record in result.records], Notes.notes]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("seen", "says"), [("seen", "GiB free"), ("unseen", "memory")])
def test_a_real_run_under_ulimit_skips_what_does_not_fit_and_goes_on(seen: str, says: str, tmp_path: Path) -> None:
    """What fits is judged by the limit of the process; where that is not known, the failed allocation is a skip."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), seen],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shapes, notes = json.loads(done.stdout.splitlines()[-1])
    assert shapes == ["tiny"]
    (skipped,) = [note for note in notes if note.startswith("skipped: ")]
    assert "llama3-8b" in skipped
    assert says in skipped
    (path,) = tmp_path.glob("*.csv")
    assert [record.shape for record in storage.read_records(path)] == ["tiny"]
