"""Choosing devices: nothing falls back in silence, nothing unknown passes."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch

from bench.measure import devices
from bench.model import BenchError, Skip
from bench.workloads.hashing import portable, scrypt, sha256d
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.transformer import dtypes

CARD = SimpleNamespace(
    name="Example GPU",
    uuid="7d1f6b1c-0000-0000-0000-00000000000a",
    pci_domain_id=0,
    pci_bus_id=0x81,
    pci_device_id=0,
    multi_processor_count=132,
    total_memory=80 << 30,
    major=9,
    minor=0,
)


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _index: CARD)
    monkeypatch.setattr(devices, "_nvidia_driver", lambda: "580.1")


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: None)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)


@pytest.mark.usefixtures("no_card")
def test_auto_falls_back_to_the_cpu_and_says_why():
    choice = devices.choose("auto")
    assert [device.kind for device in choice.devices] == ["cpu"]
    assert "knows no accelerator" in choice.how


@pytest.mark.usefixtures("no_card")
def test_auto_warns_when_the_machine_shows_signs_of_a_gpu(monkeypatch, tmp_path):
    real = devices.Path
    monkeypatch.setattr(devices, "Path", lambda path: real("/") if path == "/dev/nvidiactl" else real(path))
    assert "suggests a GPU" in devices.choose("auto").warning


@pytest.mark.usefixtures("two_cards")
def test_auto_takes_every_card():
    choice = devices.choose("auto")
    assert [device.label for device in choice.devices] == ["cuda:0", "cuda:1"]
    assert choice.warning is None
    card = choice.devices[0]
    assert card.uuid == "GPU-7d1f6b1c-0000-0000-0000-00000000000a"
    assert card.arch == "sm_90"
    assert card.pci_bus_id == "00000000:81:00.0"
    assert (card.cores, card.memory_bytes) == (132, 80 << 30)


@pytest.mark.usefixtures("two_cards")
def test_an_index_names_one_card():
    assert [device.index for device in devices.choose("cuda:1").devices] == [1]
    assert len(devices.choose("cuda").devices) == 2
    with pytest.raises(BenchError, match="no device cuda:2: torch sees cuda:0, cuda:1"):
        devices.choose("cuda:2")
    with pytest.raises(BenchError, match="no device xpu"):
        devices.choose("xpu")


@pytest.mark.usefixtures("no_card")
@pytest.mark.parametrize("spec", ["cuda", "cuda:0", "rocm"])
def test_an_explicit_device_never_falls_back(spec):
    with pytest.raises(BenchError, match="no device"):
        devices.choose(spec)


@pytest.mark.parametrize("spec", ["gpu", "cuda:", "cuda:x", "cpu:1", "", "cuda:-1"])
def test_an_unknown_device_is_refused(spec):
    with pytest.raises(BenchError):
        devices.choose(spec)


@pytest.mark.usefixtures("two_cards")
def test_a_broken_card_is_an_error_not_a_cpu(monkeypatch):
    def broken(_index):
        raise RuntimeError("CUDA error: unknown error\nmore")

    monkeypatch.setattr(torch.cuda, "get_device_properties", broken)
    with pytest.raises(BenchError, match=r"cannot use it \(CUDA error: unknown error\)"):
        devices.choose("auto")


def test_the_cpu_counts_the_cores_it_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 3, 5})
    assert devices.cpu().cores == 3
    assert devices.cpu().name


@pytest.mark.usefixtures("two_cards")
def test_a_metax_card_keeps_its_makers_name_and_runs_portable_code(monkeypatch):
    """MetaX's torch calls its cards cuda; neither NVML nor CuPy nor compute capabilities describe them."""
    card = SimpleNamespace(**{**vars(CARD), "name": "MetaX C500", "major": 8})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _index: card)
    monkeypatch.setattr(devices, "_nvidia_driver", lambda: pytest.fail("NVML was asked about another maker's card"))
    (device,) = devices.choose("cuda:0").devices
    assert (device.kind, device.maker, device.is_nvidia) == ("cuda", "MetaX", False)
    assert (device.uuid, device.driver, device.arch) == (None, None, None)
    assert device.runtime.startswith("MetaX's CUDA")
    assert dtypes.native(device, dtypes.lookup("bf16"))
    assert not dtypes.native(device, dtypes.lookup("fp8"))
    opened = []
    monkeypatch.setattr(portable, "open_engine", opened.append)
    sha256d.open_engine(device, HashingOptions())
    assert opened == [device]
    with pytest.raises(Skip, match="no torch-portable version"):
        scrypt.open_engine(device, HashingOptions())


@pytest.mark.usefixtures("two_cards")
def test_an_nvidia_card_has_no_other_maker():
    (device,) = devices.choose("cuda:0").devices
    assert device.is_nvidia
    assert device.arch == "sm_90"
