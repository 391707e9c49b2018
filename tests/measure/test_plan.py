"""The plan: what it refuses, and that it survives a file, a sidecar and a pickle."""

from __future__ import annotations

import pickle
import tomllib
from pathlib import Path

import pytest

from bench.measure import plan as plans
from bench.measure.plan import OutputOptions, RunPlan, SelectionOptions
from bench.measure.timing import TimingOptions
from bench.model import BenchError
from bench.power.options import PowerOptions
from bench.workloads.hashing.options import HashingOptions
from bench.workloads.transformer.options import TransformerOptions

FULL = RunPlan(
    selection=SelectionOptions(device="cuda:1", workload=("sha256d", "transformer")),
    transformer=TransformerOptions(shape=("tiny",), batch=(1, 16), shape_file=Path("my.toml"), detail=True),
    hashing=HashingOptions(isa="avx2", share_bits=12),
    power=PowerOptions(assume_watts=250.0),
    timing=TimingOptions(window_s=2.5, repeats=3, seed=7),
    output=OutputOptions(out=Path("elsewhere"), host_label=""),
)


def test_a_plan_survives_json_and_pickle():
    assert plans.from_dict(plans.to_dict(FULL), "a test") == FULL
    assert pickle.loads(pickle.dumps(FULL)) == FULL
    assert plans.to_dict(RunPlan()) == {}


def test_a_plan_file_names_options_by_group(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('[selection]\nworkload = ["scrypt"]\n[timing]\nwindow_s = 2\n')
    assert plans.from_dict(plans.read(path), "it") == RunPlan(
        selection=SelectionOptions(workload=("scrypt",)), timing=TimingOptions(window_s=2.0)
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[timing]\nwindows = 3", "there is no option 'windows'"),
        ("[times]\nwindow_s = 3", "there is no option 'times'"),
        ("window_s = 3", "outside a table"),
        ("[timing]\nwindow_s = 'long'", "wrong value"),
        ("[timing]\nrepeats = 0", "0 windows per variant"),
        ("[selection]\nworkload = ['ethash']", "no workload named 'ethash'"),
        ("[selection]\nworkload = ['scrypt']\n[transformer]\nphase = ['gemm']", "--phase does not apply to scrypt"),
        ("[timing", "not valid TOML"),
        ("a." * 40_000 + "b = 1", "a key of more than 16 parts"),
    ],
)
def test_a_wrong_plan_file_is_one_sentence(tmp_path, text, says):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(BenchError, match=says):
        plans.read(path)
    assert tomllib.loads('a = "a plan that is read"'), "the reader itself works"


def test_a_plan_file_that_is_missing_is_one_sentence(tmp_path):
    with pytest.raises(BenchError, match="cannot read the plan"):
        plans.read(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"meter": "rapl", "assume_watts": 5.0}, "exclude each other"),
        ({"assume_watts": 0.0}, "cannot draw 0 W"),
        ({"assume_watts": float("nan")}, "cannot draw nan W"),
    ],
)
def test_power_options_are_checked(options, says):
    with pytest.raises(BenchError, match=says):
        PowerOptions(**options)


def test_options_of_a_workload_that_is_left_out_are_refused():
    only_hashing = SelectionOptions(workload=("sha256d",))
    with pytest.raises(BenchError, match="--phase does not apply to sha256d"):
        RunPlan(selection=only_hashing, transformer=TransformerOptions(phase=("gemm",)))
    with pytest.raises(BenchError, match="--isa does not apply to transformer"):
        RunPlan(selection=SelectionOptions(workload=("transformer",)), hashing=HashingOptions(isa="avx2"))
