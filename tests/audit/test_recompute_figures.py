"""Recomputed figures and their differences from made-up evidence, without a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import storage
from bench.audit.recompute import COLUMNS, Difference, differences, figures, recompute, to_csv
from bench.model import Record
from bench.model.sidecar import Sidecar
from tests.support import factory
from tests.support.evidence import write_full, write_sidecar


def evidence(folder: Path) -> Sidecar:
    return storage.read_sidecar(write_full(folder))


def records_of(sidecar: Sidecar) -> list[Record]:
    """Rows that say what the sidecar gives."""
    found = []
    for row in figures(sidecar):
        reasons = ";".join(row.invalid_reasons) or None
        found.append(replace(factory.sha256d(repeat=row.row), invalid_reasons=reasons, **row.columns))
    return found


def test_rows_that_say_what_the_sidecar_gives_do_not_differ(tmp_path: Path) -> None:
    sidecar = evidence(tmp_path)
    rows = figures(sidecar)
    assert [row.row for row in rows] == [1, 2]
    assert differences(rows, records_of(sidecar)) == ()
    first = rows[0].columns
    assert first["energy_j"] == pytest.approx(1200, rel=0.05)
    assert first["idle_power_w"] == pytest.approx(600, rel=0.05)
    assert isinstance(first["energy_j"], float)
    assert first["work_per_j"] == 2.0**34 / first["energy_j"]
    assert first["throttle_reasons"] == "sw_power_cap;hw_thermal"
    assert first["energy_scope"] == "gpu"


@pytest.mark.parametrize("name", COLUMNS)
def test_each_changed_column_is_named(name: str, tmp_path: Path) -> None:
    sidecar = evidence(tmp_path)
    good = records_of(sidecar)
    written = "other" if isinstance(getattr(good[1], name), str) else 12345.0
    found = differences(figures(sidecar), [good[0], replace(good[1], **{name: written})])
    assert found == (Difference(3, name, written, figures(sidecar)[1].columns[name]),)


def test_a_reason_that_the_row_leaves_out_is_named(tmp_path: Path) -> None:
    sidecar = evidence(tmp_path)
    (row, *_) = figures(sidecar)
    row = replace(row, invalid_reasons=("first; with a semicolon", "second"))
    good = records_of(sidecar)[0]
    assert differences([row], [replace(good, invalid_reasons="second;first, with a semicolon;mine")]) == ()
    (difference,) = differences([row], [replace(good, invalid_reasons="second")])
    assert difference == Difference(2, "invalid_reasons", "second", "first; with a semicolon")


def test_rows_and_evidence_that_lack_one_another(tmp_path: Path) -> None:
    sidecar = evidence(tmp_path)
    rows, good = figures(sidecar), records_of(sidecar)
    assert differences(rows, good[:1]) == ()  # a run killed between evidence and row
    (difference,) = differences(rows, [])  # of two windows without a row, only the first can be such a run's
    assert difference == Difference(3, "energy_j", None, rows[1].columns["energy_j"])
    assert differences(rows[:1], good) == (Difference(3, "energy_j", good[1].energy_j, None),)
    assert differences(rows[:1], [good[0], replace(good[1], energy_j=None)]) == ()


@pytest.mark.parametrize(
    ("difference", "says"),
    [
        (Difference(2, "energy_j", 1.0, None), "line 2: energy_j is 1.0, the sidecar gives empty"),
        (Difference(3, "energy_j", None, 0.1), "line 3: energy_j is empty, the sidecar gives 0.1"),
        (Difference(4, "energy_method", "counter", "a\x1b[2J"), "the sidecar gives a"),
    ],
)
def test_a_difference_in_words(difference: Difference, says: str) -> None:
    assert says in str(difference)
    assert "\x1b" not in str(difference)
    assert "'" not in str(difference)


def test_a_sidecar_without_its_csv(tmp_path: Path) -> None:
    path = write_full(tmp_path)
    (tmp_path / "a.csv").unlink()
    found = recompute(path)
    assert (found.sidecar, found.csv, found.differences) == (path, None, ())
    assert recompute(tmp_path / "a.csv") == found


def test_windows_without_a_sensor_have_no_figures(tmp_path: Path) -> None:
    sidecar = evidence(tmp_path)
    bare = [replace(note, sensor=None) for note in sidecar.windows]
    assert figures(replace(sidecar, windows=tuple(bare))) == ()
    assert figures(replace(sidecar, idles=()))[0].columns["idle_power_w"] is None


def test_as_csv(tmp_path: Path) -> None:
    (row, *_) = figures(storage.read_sidecar(write_sidecar(tmp_path)))
    header, cells = to_csv([row]).splitlines()
    assert header == ",".join(["row", *COLUMNS])
    assert cells.split(",")[:3] == ["1", *(storage.cell(row.columns[name]) for name in COLUMNS[:2])]
