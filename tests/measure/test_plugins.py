"""Other makers' cards, from the command line on a real out-of-tree backend of torch, and plugins that fail."""

from __future__ import annotations

import csv
import json

import pytest

from tests.support.torch_plugin import CARDS, bitwatt, write_plugin

QUICK = ("--smoke", "--window", "0.2", "--warmup", "0", "--meter", "none")


def rows(folder):
    (path,) = folder.glob("*.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_plugin_that_loads_itself_is_listed_with_its_version(tmp_path):
    done = bitwatt(write_plugin(tmp_path, "musa"), "devices", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert '"musa:0"' in done.stdout
    assert '"musa:1"' in done.stdout
    assert "torch_musa 2.1.0" in done.stdout
    json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "autoload"), [("musa", True), ("mlu", False)])
def test_both_workloads_run_on_another_makers_card(kind, autoload, tmp_path):
    """Recent plugins load themselves, older ones are imported by bitwatt."""
    folder = write_plugin(tmp_path / "site", kind, autoload=autoload)
    arguments = ("--workload", "sha256d,transformer", "--phase", "gemm,prefill,decode,train", "--shape", "tiny")
    arguments += ("--dtype", "fp32", "--seq", "16", "--device", f"{kind}:0", "--out", str(tmp_path / "out"))
    done = bitwatt(folder, "run", *QUICK, *arguments)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "out")
    assert [row["phase"] for row in found] == ["", "gemm", "prefill", "decode", "train"]
    assert {row["device_kind"] for row in found} == {kind}
    assert {row["device_name"] for row in found} == {CARDS[kind]}
    assert {row["verified"] for row in found} == {"true"}
    assert found[0]["implementation"] == "torch-portable"
    assert all(row["implementation"].startswith("torch-2") for row in found[1:])


@pytest.mark.parametrize(
    ("options", "environment", "message", "fix"),
    [
        (None, {}, "knows no accelerator", "install the maker's torch plugin, torch_musa"),
        ({}, {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}, "TORCH_DEVICE_BACKEND_AUTOLOAD=0 switches it off", "without"),
        ({"body": "import libmusart"}, {}, "ModuleNotFoundError: No module named 'libmusart'", "repair or uninstall"),
        (
            {"body": "raise OSError('libmusa.so.4: cannot open')", "autoload": False},
            {},
            "torch_musa failed to load (OSError: libmusa.so.4: cannot open)",
            "import torch, torch_musa",
        ),
    ],
    ids=["absent", "switched off", "fails at import torch", "older, fails"],
)
def test_a_plugin_that_is_not_there_or_fails_is_one_sentence(options, environment, message, fix, tmp_path):
    folder = tmp_path if options is None else write_plugin(tmp_path, "musa", **options)
    done = bitwatt(
        folder,
        "run",
        *QUICK,
        "--device",
        "musa",
        "--workload",
        "sha256d",
        "--out",
        str(tmp_path / "out"),
        **environment,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr


def test_auto_says_that_a_plugin_failed_before_it_takes_the_cpu(tmp_path):
    folder = write_plugin(tmp_path / "site", "mlu", autoload=False, body="raise OSError('no driver')")
    done = bitwatt(folder, "run", *QUICK, "--workload", "sha256d", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "torch_mlu failed to load (OSError: no driver): this run measures the CPU" in done.stderr
    (row,) = rows(tmp_path / "out")
    assert row["device_kind"] == "cpu"


@pytest.mark.parametrize(
    "arguments", [("--workload", "transformer"), ("--workload", "sha256d", "--engine", "portable")]
)
def test_a_broken_plugin_is_one_sentence_on_a_cpu_too(arguments, tmp_path):
    """torch loads the plugin whatever device is asked for."""
    folder = write_plugin(tmp_path / "site", "musa", body="import libmusart")
    done = bitwatt(folder, "run", *QUICK, "--device", "cpu", *arguments, "--out", str(tmp_path / "out"))
    assert done.returncode == 2, done.stderr
    assert "torch_musa (ModuleNotFoundError: No module named 'libmusart')" in done.stderr
    assert "set TORCH_DEVICE_BACKEND_AUTOLOAD=0 to run without plugins" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_hashing_on_a_cpu_needs_no_torch_and_no_plugin(tmp_path):
    folder = write_plugin(tmp_path / "site", "musa", body="import libmusart")
    done = bitwatt(folder, "run", *QUICK, "--device", "cpu", "--workload", "sha256d", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
