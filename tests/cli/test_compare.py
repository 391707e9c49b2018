"""``bitwatt compare`` and ``verify`` on the command line: layouts, gates, exit codes, and files that are broken."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import storage
from tests.support import factory
from tests.support.paths import ROOT


def bitwatt(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.cli.app", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "BITWATT_TRACEBACK"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    for card, seed in ((factory.CARD_A, 1), (factory.CARD_B, 2)):
        name = card.name.replace(" ", "-")
        (folder / f"{name}.csv").write_text(storage.to_csv(factory.run(card, seed=seed)))
    return folder


def test_a_folder_becomes_a_table_with_ratios_and_verdicts(two):
    done = bitwatt("compare", two)
    assert done.returncode == 0, done.stderr
    assert "Example GPU B" in done.stdout
    assert "slower" in done.stdout
    assert "baseline" in done.stdout
    assert "MH/J" in done.stdout


def test_the_baseline_turns_the_ratio_round(two):
    ratios = []
    for name in ("Example GPU A", "Example GPU B"):
        done = bitwatt("compare", two, "--baseline", name, "--csv", "--metric", "rate_per_s")
        lines = [
            row for row in csv.DictReader(io.StringIO(done.stdout)) if row["ratio"] and row["workload"] == "sha256d"
        ]
        assert len(lines) == 1
        ratios.append(float(lines[0]["ratio"]))
    assert ratios[0] * ratios[1] == pytest.approx(1)


def test_json_and_markdown(two):
    assert json.loads(bitwatt("compare", two, "--json").stdout)
    assert "| --- |" in bitwatt("compare", two, "--markdown").stdout.replace("---:", "---").replace("|---", "| ---")


@pytest.mark.parametrize(
    ("condition", "code"),
    [("sha256d.rate_per_s<0.95", 1), ("sha256d.rate_per_s<0.1", 0), ("sha256d.work_per_j>1.1", 1)],
)
def test_fail_if_is_exit_code_1_and_says_which(two, condition, code):
    done = bitwatt("compare", two, "--fail-if", condition)
    assert done.returncode == code, done.stderr
    assert (condition in done.stderr) == (code == 1)


@pytest.mark.parametrize(
    ("condition", "outcome", "caught"),
    [("sha256d.rate_per_s<0.95", "regression", 1), ("sha256d.rate_per_s<0.1", "pass", 0)],
)
def test_the_verdict_is_a_json_object_with_the_exit_code(two, tmp_path, condition, outcome, caught):
    path = tmp_path / "verdict.json"
    done = bitwatt("compare", two, "--fail-if", condition, "--verdict", path)
    said = json.loads(path.read_text())
    assert (said["exit_code"], said["outcome"]) == (done.returncode, outcome)
    (found,) = said["conditions"]
    assert (found["condition"], len(found["failed"]), found["missing"]) == (condition, caught, [])
    assert all(item["ratio"] < 0.95 for item in found["failed"])


def test_published_figures_are_labelled(two):
    done = bitwatt("compare", two, "--published", "H100 SXM")
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout
    assert "not measured here" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--by", "colour"], "colour"),
        (["--baseline", "Voodoo2"], "Voodoo2"),
        (["--metric", "speed"], "speed"),
        (["--fail-if", "sha256d.rate_per_s=1"], "not a condition"),
        (["--fail-if", "ethash.rate_per_s<1"], "ethash"),
        (["--published", "Voodoo2"], "Voodoo2"),
        (["--json", "--csv"], "--format specified multiple times"),
    ],
)
def test_wrong_use_is_one_sentence(two, arguments, says):
    done = bitwatt("compare", two, *arguments)
    assert done.returncode == 2, done.stdout
    assert says in done.stderr
    assert "To fix:" in done.stderr
    assert "Traceback" not in done.stderr


def without_column(text: str, name: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    place = rows[0].index(name)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([*row[:place], *row[place + 1 :]] for row in rows)
    return out.getvalue()


def with_cell(text: str, line: int, name: str, value: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    rows[line - 1][rows[0].index(name)] = value
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: without_column(text, "work"), r"bad\.csv.*work"),
        (lambda text: with_cell(text, 3, "rate_per_s", "fast"), r"bad\.csv, line 3.*rate_per_s.*fast"),
        (lambda text: with_cell(text, 2, "schema_version", "99"), r"bad\.csv.*schema.*99"),
        (lambda text: with_cell(text, 4, "window_s", "nan"), r"bad\.csv, line 4"),
        (lambda text: text[: len(text) * 2 // 3].rstrip("\n"), r"bad\.csv, line \d+"),
        (lambda _text: "", r"bad\.csv.*empty"),
        (lambda _text: "\x7fELF\x00\x01\x02", r"bad\.csv"),
    ],
    ids=["missing column", "text for a number", "newer schema", "nan", "cut off", "empty", "no csv"],
)
def test_a_broken_file_is_one_sentence_with_file_row_and_way_out(tmp_path, damage, says):
    path = tmp_path / "bad.csv"
    path.write_text(damage(storage.to_csv(factory.run())))
    done = bitwatt("compare", path)
    assert done.returncode == 2
    assert re.search(says, done.stderr), done.stderr
    assert "To fix:" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_not_there(tmp_path):
    done = bitwatt("compare", tmp_path / "none.csv")
    assert done.returncode == 2
    assert "none.csv" in done.stderr
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------------------------------------------------------------
# verify, on a short real run of the C kernel


@pytest.fixture(scope="module")
def mined(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("mined")
    done = bitwatt(
        "run", "--device", "cpu", "--workload", "sha256d", "--smoke", "--warmup", "0.1", "--window", "0.5",
        "--repeats", "2", "--meter", "none", "-q", "--out", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def copy(source: Path, target: Path) -> Path:
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return next(target.glob("*.csv"))


def test_an_honest_run_verifies(mined):
    done = bitwatt("verify", mined)
    assert done.returncode == 0, done.stdout
    assert re.search(r"2 rows agree with their evidence; \d{2,} shares hashed again", done.stdout)


def test_an_edited_rate_is_found_by_row(mined, tmp_path):
    path = copy(mined, tmp_path)
    path.write_text(with_cell(path.read_text(), 3, "rate_per_s", "9e9"))
    done = bitwatt("verify", path)
    assert done.returncode == 3
    assert re.search(r"line 3: rate_per_s is 9e\+09", done.stdout)
    assert "line 2" not in done.stdout


def test_work_edited_everywhere_is_found_by_its_shares(mined, tmp_path):
    path = copy(mined, tmp_path)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    text = path.read_text()
    row = rows[0]
    work = float(row["work"]) * 3
    for name, value in (
        ("work", work),
        ("rate_per_s", work / float(row["window_s"])),
        ("shares_expected", work / 2 ** int(row["share_bits"])),
    ):
        text = with_cell(text, 2, name, repr(value))
    path.write_text(text)
    sidecar = storage.sidecar_path(path)
    changes = [(row["work"], repr(work)), (row["rate_per_s"], repr(work / float(row["window_s"])))]
    changes.append((row["shares_expected"], repr(work / 2 ** int(row["share_bits"]))))
    forged = sidecar.read_text().split("\n")
    place = next(n for n, line in enumerate(forged) if '"kind":"window"' in line)
    for old, new in changes:
        forged[place] = forged[place].replace(f":{old}", f":{new}")
    sidecar.write_text("\n".join(forged))
    done = bitwatt("verify", path)
    assert done.returncode == 3
    assert "should yield about" in done.stdout
    assert "the sidecar has" not in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [("device_name", "Fake 9000"), ("steady", "true"), ("host", "elsewhere"), ("energy_j", "1.0"), ("share_bits", "3")],
)
def test_an_edited_cell_of_any_kind_is_found(mined, tmp_path, name, value):
    path = copy(mined, tmp_path)
    text = path.read_text()
    edited = with_cell(text, 3, name, value)
    path.write_text(edited if edited != text else with_cell(text, 3, name, ""))
    done = bitwatt("verify", path)
    assert done.returncode == 3
    assert f"line 3: {name} is" in done.stdout


def test_a_warning_taken_out_is_found(mined, tmp_path):
    path = copy(mined, tmp_path)
    path.write_text(with_cell(path.read_text(), 2, "warnings", ""))
    done = bitwatt("verify", path)
    assert done.returncode == 3
    assert "was removed" in done.stdout


def test_a_share_that_does_not_hash_is_found(mined, tmp_path):
    path = copy(mined, tmp_path)
    sidecar = storage.sidecar_path(path)
    text = sidecar.read_text()
    nonce = re.search(r'"nonces":\{"[0-9a-f]{152}":\[(\d+)', text)[1]
    sidecar.write_text(text.replace(f":[{nonce},", f":[{(int(nonce) + 1) % 2**32},", 1))
    done = bitwatt("verify", path)
    assert done.returncode == 3
    assert "nonce" in done.stdout


def test_a_lost_sidecar_is_one_sentence(mined, tmp_path):
    path = copy(mined, tmp_path)
    storage.sidecar_path(path).unlink()
    done = bitwatt("verify", path)
    assert done.returncode == 2
    assert "has no sidecar" in done.stderr
