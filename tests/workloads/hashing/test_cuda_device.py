"""Opening a CUDA device, and what its failures say; over the stand-in for CuPy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.model import BenchError, Device
from bench.workloads.hashing import sha256d_cuda
from bench.workloads.hashing.cuda import CudaScan
from bench.workloads.hashing.cuda_device import cupy_package, import_cupy
from bench.workloads.hashing.engine import Work
from bench.workloads.hashing.options import HashingOptions
from tests.fakes.cuda import driver

FIRST = Device("cuda", 0, "stand-in", pci_bus_id="00000000:3b:00.0", driver="580.95.05")
SECOND = Device("cuda", 1, "stand-in", pci_bus_id="00000000:3c:00.0", driver="580.95.05")


def engine(device: Device = FIRST) -> CudaScan:
    return sha256d_cuda.open_engine(device, HashingOptions(variant=1))


def scan(opened: CudaScan) -> None:
    opened.scan(Work(0, bytes(80), 8), 0, 100)
    opened.sync()


def test_the_second_card_opens_no_context_on_the_first(machine: driver.Machine) -> None:
    opened = engine(SECOND)
    scan(opened)
    opened.drain()
    opened.close()
    assert {device for device, _, _ in machine.launches} == {1}
    assert [card.opened for card in machine.cards] == [False, True]


def test_two_cards_in_turn(machine: driver.Machine) -> None:
    both = [engine(FIRST), engine(SECOND)]
    for opened in (both[0], both[1], both[0]):
        scan(opened)
    assert [device for device, _, _ in machine.launches] == [0, 1, 0]
    for opened in both:
        opened.close()
    assert [card.used_bytes for card in machine.cards] == [0, 0]


def test_another_card_under_the_same_number_is_refused(machine: driver.Machine) -> None:
    with pytest.raises(BenchError, match=r"CuPy's device 1 is at 0000:3C:00.0, but torch's is at 00000000:3b:00.0"):
        engine(Device("cuda", 1, "stand-in", pci_bus_id="00000000:3b:00.0"))


@pytest.mark.parametrize("moment", ["launch", "synchronize"])
def test_a_fault_ends_this_device_and_no_other(machine: driver.Machine, moment: str) -> None:
    opened, other = engine(FIRST), engine(SECOND)
    machine.failures.append(moment)
    with pytest.raises(BenchError, match=r"cuda:0 failed: .*unspecified launch failure") as caught:
        scan(opened)
    assert "Xid" in caught.value.fix
    # The fault is sticky: every later call fails with it, and clean-up hides nothing.
    with pytest.raises(BenchError, match="unspecified launch failure"):
        scan(opened)
    opened.close()
    with pytest.raises(BenchError, match="unspecified launch failure"):
        engine(FIRST)
    scan(other)
    other.close()


def test_closing_does_not_hide_the_first_error(machine: driver.Machine) -> None:
    opened = engine()
    machine.failures.append("synchronize")
    with pytest.raises(BenchError) as caught:
        try:
            scan(opened)
        finally:
            opened.close()
    assert caught.value.__context__ is not None
    assert not isinstance(caught.value.__context__, BenchError)


def test_a_bad_image_is_no_fault_of_the_device(machine: driver.Machine) -> None:
    machine.failures.append("image")
    with pytest.raises(BenchError, match="cuda:0 failed: CUDA_ERROR_INVALID_IMAGE") as caught:
        engine()
    assert "Xid" not in caught.value.fix
    assert "pip install 'cupy-cuda13x[ctk]'" in caught.value.fix
    assert os.environ["CUPY_CACHE_DIR"] in caught.value.fix
    scan(engine())


def test_a_full_device_is_one_sentence(machine: driver.Machine) -> None:
    machine.failures.append("memory")
    with pytest.raises(BenchError, match="cuda:0 has too little free memory"):
        engine()


def test_a_missing_device_is_one_sentence(machine: driver.Machine) -> None:
    with pytest.raises(BenchError, match="cuda:5 failed: cudaErrorInvalidDevice") as caught:
        engine(Device("cuda", 5, "none"))
    assert "bitwatt devices" in caught.value.fix


@pytest.mark.parametrize(
    ("driver_version", "runtime", "cuda"),
    [("580.95.05", None, 13), ("570.1", "CUDA 12.8", 12), (None, "CUDA 12.6", 12), (None, None, 13)],
)
def test_the_package_follows_the_driver(driver_version: str | None, runtime: str | None, cuda: int) -> None:
    device = Device("cuda", 0, "card", driver=driver_version, runtime=runtime)
    assert cupy_package(device) == f"cupy-cuda{cuda}x[ctk]"


def test_without_cupy_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BenchError, match="is not installed") as caught:
        engine()
    assert "pip install 'cupy-cuda13x[ctk]'" in caught.value.fix


def test_a_cupy_that_does_not_load_is_one_sentence(
    machine: driver.Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cupy.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BenchError, match=r"does not load \(libcudart"):
        engine()


@pytest.mark.parametrize("failure", ["nvrtc", "headers"])
def test_without_nvrtc_or_headers_the_package_is_named(machine: driver.Machine, failure: str) -> None:
    machine.failures.append(failure)
    with pytest.raises(BenchError, match=r"CuPy cannot compile sha256d.cu") as caught:
        engine()
    assert "pip install 'cupy-cuda13x[ctk]'" in caught.value.fix


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nowhere"])
def test_a_home_that_cannot_be_written_does_not_end_the_import(
    machine: driver.Machine, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.delenv("CUPY_CACHE_DIR")
    monkeypatch.setenv("HOME", home)
    with pytest.raises(OSError, match=home):
        import cupy  # noqa: F401 - as CuPy by itself behaves
    import_cupy(FIRST)
    folder = Path(os.environ["CUPY_CACHE_DIR"])
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o077 == 0
    monkeypatch.delenv("CUPY_CACHE_DIR")


def test_a_cache_folder_that_can_be_written_is_kept(
    machine: driver.Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "mine"))
    import_cupy(FIRST)
    assert os.environ["CUPY_CACHE_DIR"] == str(tmp_path / "mine")
