"""The CUDA engines on a real card: skipped where there is none."""

from __future__ import annotations

import pytest

from bench.model import Device
from bench.workloads.hashing import scrypt, scrypt_cuda, sha256d, sha256d_cuda
from bench.workloads.hashing.cuda import CudaScan
from bench.workloads.hashing.job import Algorithm, ScanJob
from bench.workloads.hashing.options import HashingOptions


@pytest.fixture(scope="module")
def device() -> Device:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    from bench.measure import devices

    found = [device for device in devices.accelerators() if device.kind == "cuda"]
    if not found:
        pytest.skip("there is no CUDA device")
    return found[0]


def prove(engine: CudaScan, algorithm: Algorithm) -> None:
    """Verify, then hash a few iterations and judge them by their shares."""
    job = ScanJob(engine, algorithm, seed=11)
    verified = job.verify()
    assert verified.ok, verified.reasons
    for _ in range(3):
        job.launch(4)
    audit = job.audit()
    assert audit.ok, audit.reasons
    job.close()


@pytest.mark.parametrize("variant", sha256d_cuda.VARIANTS)
def test_sha256d(device: Device, variant: int) -> None:
    prove(sha256d_cuda.open_engine(device, HashingOptions(variant=variant)), sha256d.ALGORITHM)


@pytest.mark.parametrize("variant", range(len(scrypt_cuda.GAPS_AND_WIDE)))
def test_scrypt(device: Device, variant: int) -> None:
    prove(scrypt_cuda.open_engine(device, HashingOptions(variant=variant)), scrypt.ALGORITHM)


def test_a_trial_keeps_one(device: Device) -> None:
    engine = sha256d_cuda.open_engine(device, HashingOptions())
    assert engine.implementation.startswith("cuda-v")
    prove(engine, sha256d.ALGORITHM)
