"""A run of several devices: what goes wrong on one of them ends its own run only."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench import storage, workloads
from bench.measure import devices, session
from bench.measure.plan import OutputOptions, RunPlan, SelectionOptions
from bench.measure.timing import TimingOptions
from bench.model import BenchError, Device
from bench.power.options import PowerOptions
from tests.fakes import workload as fake
from tests.support.paths import ROOT

CARDS = tuple(Device("musa", index, f"Card {index}") for index in range(3))


@pytest.fixture
def box(monkeypatch):
    """Three cards, of which the second fails as ``fault`` says."""

    def make(fault):
        def build(device, variant, context):
            return fake.FakeJob(variant, fault if device.index == 1 else None)

        monkeypatch.setattr(fake, "build", build)
        entry = workloads.Entry("tests.fakes.workload", "transformer")
        monkeypatch.setattr(workloads, "WORKLOADS", {**workloads.WORKLOADS, "fake": entry})
        monkeypatch.setattr(devices, "choose", lambda _spec: devices.Choice(CARDS, "asked for"))

    return make


def plan(folder):
    return RunPlan(
        selection=SelectionOptions(device="musa", workload=("fake",)),
        timing=TimingOptions(window_s=0.1, warmup_s=0.0, repeats=3),
        power=PowerOptions(meter="none"),
        output=OutputOptions(out=folder),
    )


def test_the_cards_after_a_failed_one_are_measured_and_no_row_is_lost(box, tmp_path):
    box("device")
    result = session.run(plan(tmp_path))
    names = [record.device_name for record in result.records]
    assert (names.count("Card 0"), names.count("Card 2")) == (3, 3)
    assert 1 <= names.count("Card 1") < 3
    assert [str(error.message) for error in result.errors] == ["the device fell off the bus"]
    assert not result.sound
    on_disk = [record for path in tmp_path.glob("*.csv") for record in storage.read_records(path)]
    assert len(on_disk) == len(result.records)


def test_a_card_with_wrong_output_leaves_the_others_sound(box, tmp_path):
    box("verify")
    result = session.run(plan(tmp_path))
    assert {record.device_name for record in result.records} == {"Card 0", "Card 2"}
    assert result.wrong
    assert all(record.valid for record in result.records)


def test_the_error_of_an_only_device_is_raised(box, monkeypatch, tmp_path):
    box("device")
    monkeypatch.setattr(devices, "choose", lambda _spec: devices.Choice(CARDS[1:2], "asked for"))
    with pytest.raises(BenchError, match="fell off the bus"):
        session.run(plan(tmp_path))


METAX = """
import tests.fakes.torch_metax
mode = tests.fakes.torch_metax.install(2)
from bench.cli.app import main
main()
"""


@pytest.mark.slow
def test_metax_cards_run_everything_under_their_own_name(tmp_path):
    """From the command line, both cards, with graphs captured and replayed; watts come by the command hook."""
    meter = "command:echo 100"
    arguments = ("--device", "cuda", "--workload", "sha256d,transformer", "--phase", "gemm,prefill,decode,train")
    arguments += ("--shape", "tiny", "--dtype", "fp32", "--seq", "16", "--smoke", "--window", "0.2", "--warmup", "0")
    done = subprocess.run(
        [sys.executable, "-c", METAX, "run", *arguments, "--meter", meter, "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    found = [storage.read_records(path) for path in sorted(tmp_path.glob("*.csv"))]
    assert [[record.phase for record in card] for card in found] == [[None, "gemm", "prefill", "decode", "train"]] * 2
    for record in (record for card in found for record in card):
        assert (record.device_kind, record.device_name, record.verified) == ("cuda", "MetaX C500", True)
        assert record.meter == "command"
        assert record.driver is None
    assert found[0][0].implementation == "torch-portable"
    assert found[0][1].implementation.endswith("-graph")


@pytest.mark.parametrize("arguments", [("devices",), ("run", "--smoke", "--workload", "sha256d", "--window", "0.5")])
def test_a_metax_card_without_a_meter_is_not_asked_for_nvidias_driver(arguments, tmp_path):
    more = ("--out", str(tmp_path), "--warmup", "0", "--device", "cuda:0") if arguments[0] == "run" else ()
    done = subprocess.run(
        [sys.executable, "-c", METAX, *arguments, *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "no power source is known for MetaX's cards" in said
    assert "--meter 'command:" in said
    assert "NVIDIA driver" not in said
