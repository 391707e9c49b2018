"""``bitwatt doctor``: here, on a fake NVML, with each package missing in turn, and with faults it must report."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench import doctor
from bench.doctor import packages, paths
from bench.doctor.check import attempt
from bench.doctor.document import document
from bench.measure import devices
from bench.model import BenchError, Device, Skip
from tests.fakes.nvml.build import build
from tests.fakes.nvml.truth import Card, write_script
from tests.support.paths import ROOT


def examine(*, without: str | None = None, environment: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Exit code and results of the command in a process of its own, every single path left out."""
    blocked = f"sys.modules[{without!r}] = None\n" if without else ""
    program = f"import sys\n{blocked}from bench.cli.app import main\nmain()\n"
    run = subprocess.run(
        [sys.executable, "-c", program, "doctor", "--json", "--budget", "0"],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert "Traceback" not in run.stderr
    return run.returncode, {" ".join(filter(None, (row["device"], row["name"]))): row for row in json.loads(run.stdout)}


def test_a_machine_without_a_card() -> None:
    _, found = examine()
    for distribution in packages.REQUIRED.values():
        assert found[distribution]["state"] == "works"
    assert found["CPU kernels"]["state"] == found["devices"]["state"] == "works"
    assert found["cpu list of paths"]["state"] == "works"
    if not Path("/proc/driver/nvidia/version").exists():
        assert {found[name]["state"] for name in ("NVIDIA driver", "CuPy", "torch with CUDA")} == {"skipped"}
    assert found["cpu sha256d generic"]["detail"].startswith("no time left")


@pytest.mark.parametrize("module", packages.REQUIRED)
def test_a_missing_package_is_named_and_the_rest_goes_on(module: str) -> None:
    code, found = examine(without=module)
    name = packages.REQUIRED[module]
    assert code == 3
    assert found[name]["state"] == "failed"
    assert f"pip install --force-reinstall {name}" in found[name]["fix"]
    others = [row for row in found.values() if row["name"] in packages.REQUIRED.values() and row["name"] != name]
    assert sum(row["state"] == "works" for row in others) >= 5
    assert "devices" in found


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("nvml")
    script = write_script(folder / "script", time.monotonic_ns(), Card("GPU-1"), Card("GPU-2"))
    return {"LD_LIBRARY_PATH": str(build(folder)), "FAKE_NVML_SCRIPT": str(script)}


def test_a_driver_without_the_builds_that_fit_it(nvml: dict[str, str]) -> None:
    """NVML answers; this torch is built for the CPU, and CuPy may or may not be here."""
    code, found = examine(environment=nvml)
    assert code == 3
    assert found["NVIDIA driver"]["detail"].endswith("2 card(s)")
    assert found["NVML permissions"]["state"] == "works"
    assert "built without CUDA" in found["torch with CUDA"]["detail"]
    assert "bench.install" in found["torch with CUDA"]["fix"]


def test_a_card_that_may_not_be_read_is_named(nvml: dict[str, str], tmp_path: Path) -> None:
    script = write_script(tmp_path / "script", time.monotonic_ns(), Card("GPU-1"), Card("GPU-2", keys={"denied": 1}))
    _, found = examine(environment={**nvml, "FAKE_NVML_SCRIPT": str(script)})
    assert found["NVML permissions"]["state"] == "failed"
    assert "card 1 does not let this user read its power" in found["NVML permissions"]["detail"]
    assert "root" in found["NVML permissions"]["fix"]


def test_a_missing_cupy_is_named_with_its_extra(nvml: dict[str, str]) -> None:
    _, found = examine(without="cupy", environment=nvml)
    assert found["CuPy"]["state"] == "failed"
    assert "[ctk]" in found["CuPy"]["fix"]


# -- paths ------------------------------------------------------------------------------------------------------------


def test_each_kernel_path_of_this_cpu_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_transformer", lambda _device: [])
    results = list(paths.checks(devices.cpu(), math.inf))
    assert {"sha256d generic", "scrypt generic", "sha256d torch operations"} <= {result.name for result in results}
    assert all(result.state == "works" for result in results), results


def test_one_path_of_the_transformer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_hashing", lambda _device: [])
    monkeypatch.setattr(paths, "TYPES", ("fp32", "fp8"))
    monkeypatch.setattr(paths, "PHASES", ("decode",))
    listed = [name for name, _ in paths._transformer(devices.cpu())]
    assert listed == ["gemm fp32", "gemm fp8", "decode fp32"]
    product = paths._transformer(devices.cpu())[0][1]
    assert "right, in" in product()


def test_a_path_with_wrong_output_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.workloads.hashing import portable

    monkeypatch.setattr(portable, "K", [constant ^ 1 for constant in portable.K])
    monkeypatch.setattr(paths, "_transformer", lambda _device: [])
    results = {result.name: result for result in paths.checks(devices.cpu(), math.inf)}
    assert results["sha256d torch operations"].state == "failed"
    assert "wrong output" in results["sha256d torch operations"].detail
    assert results["sha256d generic"].state == "works"


def test_a_card_that_torch_cannot_use_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_transformer", lambda _device: [])
    results = list(paths.checks(Device("musa", 0, "x"), math.inf))
    assert [(result.name, result.state) for result in results[1:]] == [("sha256d torch operations", "failed")]


# -- results ----------------------------------------------------------------------------------------------------------


def raising(error: Exception) -> Any:
    def work() -> str:
        raise error

    return next(attempt("x", work))


def test_what_a_check_raises_becomes_its_result() -> None:
    assert next(attempt("x", lambda: "fine")).state == "works"
    assert raising(Skip("not here", "")).state == "skipped"
    failed = raising(BenchError("it is broken", "mend it"))
    assert (failed.state, failed.detail, failed.fix) == ("failed", "it is broken", "mend it")
    unforeseen = raising(ZeroDivisionError("by zero"))
    assert (unforeseen.state, unforeseen.detail) == ("failed", "ZeroDivisionError: by zero")
    assert unforeseen.fix


def test_the_document_says_how_to_fix_what_failed() -> None:
    made = document([doctor.Result("a", "works", "1.0"), doctor.Result("b", "failed", "gone", "run x", "cuda:0")])
    assert made.notes == ("cuda:0 b: gone. To fix: run x.",)
    assert [row["state"] for row in made.rows] == ["works", "failed"]
