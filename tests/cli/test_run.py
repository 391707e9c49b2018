"""``bitwatt run`` from the command line to the CSV, on a workload of known rate and with every fault a user meets."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import storage
from bench.model import Record
from tests.support.paths import ROOT

COLUMNS = list(Record.__dataclass_fields__)
FAST = {"--device": "cpu", "--workload": "fake", "--window": "0.2", "--warmup": "0.1"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.fakes.bitwatt", *arguments]


def bitwatt(*arguments: str, fault: str | None = None, **more) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("FAKE_", "BITWATT_"))}
    if fault:
        environment["FAKE_FAULT"] = fault
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, **more
    )


def run(out: Path, *arguments: str, fault: str | None = None) -> subprocess.CompletedProcess[str]:
    """A fast run; what ``arguments`` name replaces the fast default."""
    defaults = {name: value for name, value in FAST.items() if name not in arguments}
    return bitwatt("run", *itertools.chain(*defaults.items()), "--quick", "--out", str(out), *arguments, fault=fault)


def rows(out: Path) -> list[dict[str, str]]:
    (path,) = out.glob("*.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def one_sentence(text: str) -> bool:
    return "Traceback" not in text and "bitwatt:" in text


def test_a_run_leaves_a_csv_a_sidecar_and_a_table(tmp_path):
    done = run(tmp_path, "--shape", "one,two", "--repeats", "2")
    assert done.returncode == 0, done.stderr
    written = rows(tmp_path)
    shapes = [row["shape"] for row in written]
    assert [sorted(shapes[:2]), sorted(shapes[2:])] == [["one", "two"]] * 2  # rounds, each in random order
    assert list(written[0]) == COLUMNS
    for row in written:
        assert float(row["rate_per_s"]) == pytest.approx(float(row["work"]) / float(row["window_s"]))
        assert (row["verified"], row["valid"]) == ("true", "true")
        assert (row["energy_j"], row["work_per_j"], row["meter"]) == ("", "", "")
        assert row["mode"] == "quick"
    (sidecar,) = tmp_path.glob("*.samples.jsonl")
    assert len(storage.read_sidecar(sidecar).windows) == 4
    assert "one" in done.stdout
    assert "H/s" in done.stdout
    assert "wrote" in done.stderr
    assert "wrote" not in done.stdout


def test_json_is_a_list_of_objects_with_the_columns_names(tmp_path):
    done = run(tmp_path, "--json", "-q")
    (row,) = json.loads(done.stdout)
    assert list(row) == COLUMNS
    assert row["energy_j"] is None
    assert done.stderr.count("\n") <= 1


def test_csv_on_stdout_is_the_file_itself(tmp_path):
    done = run(tmp_path, "--csv", "-")
    (path,) = tmp_path.glob("*.csv")
    assert done.stdout == path.read_text()


def test_markdown_is_a_table(tmp_path):
    done = run(tmp_path, "--markdown")
    assert any(line.startswith("|") and "fake" in line for line in done.stdout.splitlines())


def test_assumed_watts_are_labelled(tmp_path):
    done = run(tmp_path, "--assume-watts", "50")
    assert done.returncode == 0, done.stderr
    (row,) = rows(tmp_path)
    assert row["energy_method"] == "assumed"
    assert float(row["energy_j"]) == pytest.approx(50 * float(row["window_s"]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--device", "gpu"], "not a device"),
        (["--device", "cuda:7"], "no device cuda:7"),
        (["--workload", "ethash"], "no workload named 'ethash'"),
        (["--meter", "wattson"], "no power source"),
        (["--meter", "assume:many"], "not a number of watts"),
        (["--window", "0"], "too short"),
        (["--window", "nan"], "too short"),
        (["--repeats", "0"], "--repeats 1"),
        (["--warmup", "-1"], "warm-up"),
        (["--assume-watts", "0"], "cannot draw 0 W"),
        (["--batch", "two"], "--batch"),
        (["--seq", "0"], "--seq"),
        (["--smoke"], "exclude each other"),
        (["--json", "--markdown"], "--format specified multiple times"),
        (["--csv", "x.csv"], "x.csv"),
        (["--workload", "transformer", "--shape", "gpt5"], "gpt5"),
        (["--workload", "transformer", "--dtype", "fp13"], "fp13"),
        (["--workload", "transformer", "--phase", "dream"], "dream"),
        (["--workload", "sha256d", "--isa", "mmx"], "mmx"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(tmp_path, arguments, says):
    done = run(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert one_sentence(done.stderr)
    assert "To fix:" in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir()), "nothing is left behind by a run that never began"


def test_two_power_sources_are_wrong_use(tmp_path):
    done = run(tmp_path, "--meter", "none", "--assume-watts", "50")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_an_unknown_option_is_wrong_use(tmp_path):
    done = run(tmp_path, "--colour")
    assert done.returncode == 2
    assert "--colour" in done.stderr


def test_wrong_output_ends_with_3_and_keeps_the_good(tmp_path):
    done = run(tmp_path, "--shape", "bad,good", fault="verify")
    assert done.returncode == 3
    assert "wrong result, not timed: fake bad: the sum is off by one" in done.stderr
    assert [row["shape"] for row in rows(tmp_path)] == ["good"]


def test_only_wrong_output_leaves_no_file(tmp_path):
    done = run(tmp_path, fault="verify")
    assert done.returncode == 3
    assert not list(tmp_path.iterdir())


def test_an_invalid_window_is_kept_flagged_and_ends_with_3(tmp_path):
    done = run(tmp_path, "--repeats", "2", fault="audit")
    assert done.returncode == 3
    first, second = rows(tmp_path)
    assert (first["valid"], second["valid"]) == ("false", "true")
    assert "does not hash" in first["invalid_reasons"]


def test_a_skip_is_told_and_is_no_failure(tmp_path):
    done = run(tmp_path, "--shape", "big,one", fault="skip")
    assert done.returncode == 0
    assert "skipped: fake big: big needs 9 GiB" in done.stderr


def test_a_device_that_is_gone_keeps_the_rows_before_it(tmp_path):
    done = run(tmp_path, "--repeats", "3", fault="device")
    assert done.returncode == 3
    assert "fell off the bus" in done.stderr
    assert one_sentence(done.stderr)
    assert "1 row is safe" in done.stderr
    assert len(rows(tmp_path)) == 1


def test_a_bug_of_ours_shows_no_traceback_and_keeps_the_rows(tmp_path):
    done = run(tmp_path, "--repeats", "3", fault="crash")
    assert done.returncode == 70
    assert "internal error (ZeroDivisionError: a bug)" in done.stderr
    assert one_sentence(done.stderr)
    assert len(rows(tmp_path)) == 1


def start_until(out: Path, count: int, *arguments: str) -> subprocess.Popen[str]:
    """Start a long run and wait until ``count`` rows are on disk."""
    process = subprocess.Popen(
        command("run", *itertools.chain(*FAST.items()), "--quick", "--out", str(out), "--repeats", "50", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        files = list(out.glob("*.csv"))
        if files and len(files[0].read_text().splitlines()) > count:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_windows_before_it(tmp_path, number):
    process = start_until(tmp_path, 2)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "safe in" in stderr
    assert stdout == ""
    assert len(storage.read([*tmp_path.glob("*.csv")])) >= 2


def test_kill_9_keeps_the_windows_before_it(tmp_path):
    process = start_until(tmp_path, 2)
    process.kill()
    process.communicate()
    (path,) = tmp_path.glob("*.csv")
    frame = storage.read([path])
    assert len(frame) >= 2
    assert frame["valid"].all()
    sidecar = storage.read_sidecar(storage.sidecar_path(path))
    assert len(sidecar.windows) >= len(frame)


def test_a_full_disk_is_one_sentence_and_loses_no_row(tmp_path):
    # RLIMIT_FSIZE stands in for a full disk: the write beyond it fails as on one. The limit lets a few rows through.
    limited = [
        "/bin/sh",
        "-c",
        'trap "" XFSZ; ulimit -f 8; exec "$@"',
        "sh",
        *command("run", *itertools.chain(*FAST.items()), "--quick", "--out", str(tmp_path), "--repeats", "30"),
    ]
    done = subprocess.run(limited, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode not in (0, 70), done.stderr
    assert "cannot write" in done.stderr
    assert one_sentence(done.stderr)
    (path,) = tmp_path.glob("*.csv")
    assert len(storage.read([path])) >= 1


def test_an_unwritable_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    done = run(tmp_path / "file")
    assert done.returncode == 2
    assert one_sentence(done.stderr)


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            '"$@" --json | head -c 1',
            "sh",
            *command("run", *itertools.chain(*FAST.items()), "--quick", "--out", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_stdout_on_a_full_disk_is_told(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("run", *itertools.chain(*FAST.items()), "--quick", "--out", str(tmp_path), "--csv", "-"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
    assert done.returncode == 74
    assert "Traceback" not in done.stderr
    assert len(rows(tmp_path)) == 1


def test_version_and_devices():
    assert bitwatt("--version").stdout.startswith("bitwatt ")
    done = bitwatt("devices", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.load(io.StringIO(done.stdout))
    assert "cpu" in [entry["device"]["label"] for entry in listed]
