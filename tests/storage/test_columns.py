"""What a record becomes as CSV text and as JSON."""

from __future__ import annotations

import csv
import json
import random
import struct
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import storage
from bench.model import Record
from bench.storage.columns import cleaned, row
from tests.support import factory


def test_columns_are_the_fields_of_record() -> None:
    assert list(storage.NAMES) == [entry.name for entry in fields(Record)]
    by_name = {column.name: column for column in storage.COLUMNS}
    assert by_name["energy_j"] == storage.Column("energy_j", float, False, "gross joules of the window")
    assert by_name["valid"].type is bool
    assert by_name["valid"].required
    assert by_name["batch"].type is int


any_float = st.floats(1e-50, 1e50) | st.floats(-1e50, -1e-50) | st.just(0.0)


any_text = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(work=any_float, rate=any_float, batch=st.none() | st.integers(-(2**63), 2**63 - 1), name=any_text, note=any_text)
def test_any_figure_and_text_round_trips(
    tmp_path_factory: pytest.TempPathFactory, work: float, rate: float, batch: int | None, name: str, note: str
) -> None:
    record = replace(
        factory.sha256d(), work=work, rate_per_s=rate, batch=batch, device_name=name, warnings=note, ecc=None
    )
    path = factory.write(tmp_path_factory.mktemp("r") / "a.csv", [record])
    assert storage.read_records(path) == [cleaned(record)]


def test_doubles_round_trip_to_the_last_bit(tmp_path: Path) -> None:
    source = random.Random(7)
    values = [struct.unpack("d", struct.pack("Q", source.getrandbits(64)))[0] for _ in range(2000)]
    values = [value for value in values if 1e-50 <= abs(value) <= 1e50]
    path = factory.write(tmp_path / "a.csv", [replace(factory.sha256d(), work=value) for value in values])
    assert [record.work for record in storage.read_records(path)] == values


def test_missing_is_empty_and_never_zero(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", [factory.sha256d(metered=False)])
    (cells,) = csv.DictReader(path.read_text().splitlines())
    assert cells["energy_j"] == cells["work_per_j"] == cells["phase"].replace("scan", "") == ""
    assert cells["native"] == "true"
    (record,) = storage.read_records(path)
    assert record.energy_j is None
    assert record.batch is None


@pytest.mark.parametrize(
    "change",
    [
        {"work": float("nan")},
        {"energy_j": float("inf")},
        {"device_name": ""},
        {"run_id": " \n"},
        {"launches": 2.5},
        {"valid": 1},
        {"launches": True},
    ],
)
def test_a_record_that_breaks_its_columns_is_not_written(tmp_path: Path, change: dict[str, object]) -> None:
    with storage.create(tmp_path, "a") as results:
        results.append(factory.sha256d())
        with pytest.raises(ValueError, match=next(iter(change))):
            results.append(replace(factory.sha256d(repeat=2), **change))  # type: ignore[arg-type]
    assert len(storage.read_records(tmp_path / "a.csv")) == 1


def test_control_characters_never_break_a_row(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", [replace(factory.sha256d(), warnings='a\r\nb, "c"\x00')])
    assert path.read_text().count("\n") == 2
    assert storage.read_records(path)[0].warnings == 'a  b, "c"\\x00'


def test_json_has_the_columns_names_and_null(tmp_path: Path) -> None:
    (item,) = json.loads(storage.to_json([factory.sha256d(metered=False)]))
    assert list(item) == list(storage.NAMES)
    assert item["energy_j"] is None
    assert item["native"] is True


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "=", "\t=1+1", "\r\n=1"])
def test_a_text_is_never_a_formula(text: str) -> None:
    written = storage.cell(text)
    assert written == "=" or written[0] == "'"
    assert storage.cell(written) == written


@pytest.mark.parametrize("text", ["-6%", "-1.5", "+22", "–", "-", "bf16", "a=b"])
def test_a_number_and_plain_text_stay_as_they_are(text: str) -> None:
    assert storage.cell(text) == text


def test_subtypes_of_a_column_s_type_are_written_as_it_and_other_types_are_refused() -> None:
    position = storage.NAMES.index("rate_per_s")
    assert row(factory.gemm(rate_per_s=np.float64(3.5)))[position] == "3.5"
    for name, value in (("rate_per_s", np.float32(3.5)), ("launches", True), ("launches", 3.0), ("valid", 1)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            row(factory.gemm(**{name: value}))


def test_json_has_a_cell_on_each_line() -> None:
    lines = storage.to_json([factory.gemm(host="box")]).splitlines()
    assert lines[:2] == ["[", " {"]
    assert '  "host": "box",' in lines
    assert len(lines) == len(storage.NAMES) + 4
