"""A workload of known rate: stands in for hardware, so that the way from command line to CSV can be asserted.

An iteration is 1 ms of sleep and 1e6 hashes. What goes wrong is said through ``FAKE_FAULT`` in the environment:
``verify``, ``audit``, ``build``, ``skip``, ``device`` (fails in the third window) or ``crash`` (a bug of ours).

``FAKE_LOAD`` names a file into which beginnings and ends of work are written, for the fake NVML library to read.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from bench.model import Audit, BenchError, BuildContext, Device, Facts, Skip, Variant

WORK_PER_QUANTUM = 1e6
QUANTUM_S = 1e-3


def plan(device: Device, options: Any, *, smoke: bool = False) -> list[Variant]:
    names = options.shape or ("one",)
    return [Variant("fake", shape=name) for name in names]


def build(device: Device, variant: Variant, context: BuildContext = BuildContext()) -> FakeJob:
    fault = os.environ.get("FAKE_FAULT")
    if fault == "skip" and variant.shape == "big":
        raise Skip("big needs 9 GiB and 1 GiB is free", "choose a smaller shape")
    if fault == "build":
        raise BenchError("the device is out of memory", "close other programs")
    return FakeJob(variant, fault)


class FakeJob:
    alive = 0

    def __init__(self, variant: Variant, fault: str | None) -> None:
        self.facts = Facts(
            implementation="fake-1",
            work_unit="hash",
            work_per_iteration=WORK_PER_QUANTUM,
            tokens_per_iteration=2.0,
            bytes_per_iteration=1e3,
            peak_work_per_s=2e9,
            peak_bytes_per_s=1e7,
            peak_source="made up",
            memory_bytes=1 << 20,
        )
        self.variant = variant
        self.fault = fault
        self.launched = 0
        self.audits = 0
        self.pending_s = 0.0
        load = os.environ.get("FAKE_LOAD")
        self.load = Path(load).open("a", buffering=1) if load else None  # noqa: SIM115 (closed with the job)
        FakeJob.alive += 1

    def verify(self) -> Audit:
        wrong = self.fault == "verify" and self.variant.shape != "good"
        return Audit(ok=not wrong, reasons=("the sum is off by one",) if wrong else ())

    def launch(self, iterations: int) -> None:
        assert iterations >= 1
        self.launched += iterations
        self.note("+")
        self.pending_s += iterations * QUANTUM_S

    def sync(self) -> None:
        pending, self.pending_s = self.pending_s, 0.0
        time.sleep(pending)
        if pending:
            self.note("-")

    def note(self, sign: str) -> None:
        if self.load is not None:
            self.load.write(f"{sign}{time.monotonic_ns()}\n")

    def audit(self) -> Audit:
        self.audits += 1
        if self.fault == "device" and self.audits >= 4:
            raise BenchError("the device fell off the bus", "reseat it", exit_code=3)
        if self.fault == "crash" and self.audits >= 4:
            raise ZeroDivisionError("a bug")
        wrong = self.fault == "audit" and self.audits == 3
        return Audit(ok=not wrong, reasons=("a share does not hash; by nonce",) if wrong else ())

    def peak_memory_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        if self.variant is not None:
            FakeJob.alive -= 1
            self.variant = None
            if self.load is not None:
                self.load.close()
