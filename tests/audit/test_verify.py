"""What ``verify`` reports: each fault once, with its line and cell."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench import storage
from bench.audit.verify import verify
from bench.model import BenchError, Sample, Sensor, Window
from tests.support import factory

SENSOR = Sensor(source="nvml", scope="gpu", power_field="instant", power_period_s=0.1, poll_s=0.05)
WINDOW = Window(10 * 10**9, 40 * 10**9, 60, 30.0 * factory.CARD_A.flop_per_s)
SAMPLES = tuple(Sample(t_ns=t_ns, power_w=600.0) for t_ns in range(9 * 10**9, 41 * 10**9, 10**8))


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """Two gemm rows with their evidence, as a run without settled net figures leaves them."""
    with storage.create(tmp_path, "a") as results:
        sensor = results.sensor(SENSOR)
        for repeat in (1, 2):
            record = factory.gemm(repeat=repeat, metered=False)
            results.append(record, window=WINDOW, samples=SAMPLES if repeat == 2 else (), sensor=sensor)
    return results.path


def edit(path: Path, line: int, **cells: str) -> None:
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    for name, text in cells.items():
        rows[line - 1][rows[0].index(name)] = text
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def test_a_changed_cell_is_reported_once_with_its_column(result: Path) -> None:
    """The sidecar's row and the recomputed joules both contradict it; it is one finding."""
    edit(result, 3, energy_j="17999.0")
    found = [finding for finding in verify([result]).findings if finding.column == "energy_j"]
    assert [(finding.path, finding.line) for finding in found] == [(result, 3)]
    assert str(found[0]) == f"{result}, line 3: energy_j is 17999, but the sidecar has empty"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("work", "1.0", "work is 1, but the sidecar has 2.1e+16"),
        ("launches", "61", "launches is 61, but the sidecar has 60"),
        ("window_s", "31.0", "window_s is 31, but the sidecar has 30"),
        ("shape", "", "shape is empty, but the sidecar has llama3-8b"),
    ],
)
def test_what_differs_from_the_sidecar_is_named(result: Path, name: str, text: str, says: str) -> None:
    edit(result, 3, **{name: text})
    found = [finding for finding in verify([result]).findings if finding.column == name]
    assert [str(finding) for finding in found] == [f"{result}, line 3: {says}"]


def test_a_figure_that_the_samples_do_not_give_is_named(result: Path) -> None:
    """CSV and sidecar hold the same forged row; its samples still give other joules."""
    sidecar = storage.sidecar_path(result)
    forged = sidecar.read_text().replace('"temperature_max_c":64.0', '"temperature_max_c":70.0')
    assert forged != sidecar.read_text()
    sidecar.write_text(forged)
    edit(result, 3, temperature_max_c="70.0")
    found = [str(finding) for finding in verify([result]).findings if finding.column == "temperature_max_c"]
    assert f"{result}, line 3: temperature_max_c is 70.0, the sidecar gives empty" in found


def test_a_removed_warning_is_reported(tmp_path: Path) -> None:
    with storage.create(tmp_path, "a") as results:
        record = factory.gemm(metered=False, warnings="not steady;clock 3% low")
        results.append(record, window=WINDOW)
    assert verify([results.path]).findings == ()
    edit(results.path, 2, warnings="not steady;settled later")
    (finding,) = verify([results.path]).findings
    assert (finding.line, finding.column) == (2, "warnings")
    assert "the warning 'clock 3% low' was removed" in finding.message


def test_a_row_without_evidence_is_reported(tmp_path: Path) -> None:
    with storage.create(tmp_path, "a") as results:
        results.append(factory.gemm(metered=False))
    (finding,) = verify([results.path]).findings
    assert finding.column is None
    assert str(finding) == f"{results.path}, line 2: the sidecar has no evidence for this row"


def test_a_file_without_a_sidecar_cannot_be_verified(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", factory.run(repeats=1))
    with pytest.raises(BenchError, match="has no sidecar"):
        verify([path])


def test_text_is_the_same_in_csv_and_sidecar(tmp_path: Path) -> None:
    """An honest run with white space or control characters in a name passes its own verify."""
    with storage.create(tmp_path, "a") as results:
        record = factory.gemm(metered=False, host="box ", shape=" my\tmodel ", warnings="a\x1b[2Jb ")
        results.append(record, window=WINDOW)
    assert verify([results.path]).findings == ()
    assert storage.read_records(results.path)[0].shape == "my model"
