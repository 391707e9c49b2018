"""What pandas, R and spreadsheets make of a result CSV is read with a note, or refused where its meaning changed."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import storage
from bench.model import BenchError
from bench.storage.dialect import understand
from tests.support import factory

COMMIT = "5f88c5b0"
RECORDS = [
    *factory.run(repeats=2, commit=COMMIT),
    factory.gemm(metered=False, repeat=3, commit=COMMIT, warnings='50 °C; "quoted", and more'),
]
PLAIN = storage.to_csv(RECORDS)
AT = {name: position for position, name in enumerate(storage.NAMES)}


def table() -> list[list[str]]:
    return list(csv.reader(io.StringIO(PLAIN)))


def written(rows: list[list[str]], delimiter: str = ",", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerows(rows)
    return out.getvalue()


def without(name: str) -> str:
    return written([[*row[: AT[name]], *row[AT[name] + 1 :]] for row in table()])


def with_column(name: str, text: str, at: int) -> str:
    rows = table()
    return written([[*row[:at], name if not n else text, *row[at:]] for n, row in enumerate(rows)])


def with_columns(*names: str) -> str:
    """Columns of these names at the end, each with its own name in every row."""
    return written([[*row, *names] for row in table()])


def decimal_commas() -> str:
    kinds = [column.type for column in storage.COLUMNS]
    rows = [
        [cell.replace(".", ",") if kind is float and n else cell for cell, kind in zip(row, kinds, strict=True)]
        for n, row in enumerate(table())
    ]
    return written(rows, ";")


def na(text: str) -> str:
    return written([[cell or text for cell in row] for row in table()])


CASES: dict[str, tuple[bytes, str]] = {
    "TRUE and FALSE": (PLAIN.replace("true", "TRUE").replace("false", "FALSE").encode(), "TRUE read as true"),
    "True": (PLAIN.replace("true", "True").replace("false", "False").encode(), "True read as true"),
    "semicolons": (written(table(), ";").encode(), "separated by semicolons"),
    "tabs": (written(table(), "\t").encode(), "separated by tabs"),
    "Excel's own first line": (b"sep=;\r\n" + written(table(), ";").replace("\n", "\r\n").encode(), "semicolons"),
    "decimal commas": (decimal_commas().encode(), "decimal commas"),
    "NA": (na("NA").encode(), "NA read as missing"),
    "NaN": (na("NaN").encode(), "NaN read as missing"),
    "index column": (with_column("", "7", 0).encode(), "an index column is ignored"),
    "index column named by pandas": (with_column("Unnamed: 0", "7", 0).encode(), "an index column is ignored"),
    "extra column": (with_column("mood", "good", 5).encode(), "unknown column mood ignored"),
    "missing optional column": (without("ecc").encode(), "column ecc missing"),
    "trailing comma": (PLAIN.replace("\n", ",\n").encode(), ""),
    "trailing commas in rows alone": (PLAIN.replace("\n", ",,\n").replace(",,\n", "\n", 1).encode(), ""),
    "blank last line": (PLAIN.encode() + b"\n", ""),
    "blank lines inside": (PLAIN.replace("\n", "\n\n").encode(), ""),
    "rows of delimiters alone": (PLAIN.encode() + b"," * 40 + b"\n", ""),
    "no last newline": (PLAIN.encode()[:-1], "the last line has no line end"),
    "UTF-16": (PLAIN.encode("utf-16"), "read as UTF-16"),
    "UTF-16 big-endian": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "read as UTF-16"),
    "UTF-8 mark": (b"\xef\xbb\xbf" + PLAIN.encode(), ""),
    "CRLF": (PLAIN.replace("\n", "\r\n").encode(), ""),
    "CR": (PLAIN.replace("\n", "\r").encode(), ""),
    "spaces around cells": (written([[f" {cell}" for cell in row] for row in table()]).encode(), ""),
    "quotes around every cell": (written(table(), quoting=csv.QUOTE_ALL).encode(), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_others_save_is_read(case: str, tmp_path: Path) -> None:
    raw, says = CASES[case]
    path = tmp_path / "a.csv"
    path.write_bytes(raw)
    notes: list[str] = []
    found = storage.to_records(storage.read([path], note=notes.append))
    expected = RECORDS
    if case == "missing optional column":
        expected = [replace(record, ecc=None) for record in RECORDS]
    assert found == expected
    assert says in "".join(notes)
    assert len(notes) == bool(says)


@pytest.mark.parametrize(
    ("raw", "note"),
    [
        (written(table(), ";", csv.QUOTE_ALL).encode(), "cells are separated by semicolons"),
        (PLAIN.replace(",60,", ",60.0,").encode(), "whole numbers written with decimals (17.0) read as such"),
        (with_columns("a", "b", "c", "d").encode(), "unknown columns a, b, c, d ignored"),
        (with_columns("a", "b", "c", "d", "e").encode(), "unknown columns a, b, c, d and 1 more ignored"),
    ],
)
def test_the_note_says_what_was_different(raw: bytes, note: str) -> None:
    assert understand(raw, Path("a.csv")).notes == [note]


def test_the_line_of_bytes_that_are_no_text() -> None:
    lines = PLAIN.encode().splitlines(keepends=True)
    for number in range(1, len(lines) + 1):
        raw = b"".join([*lines[: number - 1], b"\xff", *lines[number - 1 :]])
        with pytest.raises(BenchError, match=f"^a.csv, line {number}: not UTF-8 text [(]invalid start byte"):
            understand(raw, Path("a.csv"))


def test_a_version_beyond_the_end_of_its_row_is_a_row_cut_short() -> None:
    """The version is the last column, and the first row ends just before it."""
    rows = [[*row[1:], row[0]] for row in table()]
    width = len(storage.NAMES)
    rows[1].pop()
    with pytest.raises(BenchError, match=f"a.csv, line 2: {width - 1} cells, but the header has {width}"):
        understand(written(rows).encode(), Path("a.csv"))


@pytest.mark.parametrize(("text", "says"), [("2", "schema_version 2 is newer"), ("0.5", "no schema_version 0.5")])
def test_another_version_in_a_file_with_other_columns_is_named(text: str, says: str) -> None:
    rows = table()
    rows[1][0] = text
    with pytest.raises(BenchError, match=f"^a.csv, line 2: .*{says}"):
        understand(written([[*row, "x"] for row in rows]).encode(), Path("a.csv"))


def test_a_long_cell_is_shortened_in_the_message() -> None:
    rows = table()
    rows[1][AT["rate_per_s"]] = "x" * 61
    with pytest.raises(BenchError, match=f"rate_per_s is '{'x' * 60}' and must be a number"):
        understand(written(rows).encode(), Path("a.csv"))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (decimal_commas().replace("; ", "").replace("61,0", "61.0"), "a decimal point"),
        (PLAIN.replace("60,", '"6,0",', 1), "a comma"),
        (without("rate_per_s"), "'rate_per_s' is missing"),
        (PLAIN.replace("true", "1"), "must be true or false"),
        (PLAIN.replace(",60,", ",60.5,"), "line 2: launches is '60.5' and must be a whole number"),
        (PLAIN.replace("false", "perhaps", 1), "line 2: dirty is 'perhaps'"),
    ],
)
def test_what_changes_meaning_is_refused_by_row_and_column(raw: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(raw)
    with pytest.raises(BenchError, match=says) as caught:
        storage.read([path])
    assert ", line " in caught.value.message
    assert caught.value.fix
    assert "from a copy" not in caught.value.fix


def test_na_stays_text_where_numbers_are_empty(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", [factory.sha256d(host="NA", ecc=None, options="None")])
    (record,) = storage.read_records(path)
    assert (record.host, record.options) == ("NA", "None")


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("nan", ["", "NaN", "<NA>"])
def test_a_round_trip_through_pandas(tmp_path: Path, index: bool, nan: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(PLAIN)
    pd.read_csv(path).to_csv(path, index=index, na_rep=nan)
    assert storage.read_records(path) == RECORDS
    storage.read([path]).to_csv(path, index=index, na_rep=nan)
    assert storage.read_records(path) == RECORDS


CALC = shutil.which("soffice") or shutil.which("localc")


@pytest.mark.slow
@pytest.mark.skipif(CALC is None, reason="LibreOffice is not installed (Debian: libreoffice-calc)")
def test_a_round_trip_through_libreoffice(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(PLAIN)
    home = f"-env:UserInstallation=file://{tmp_path}/home"
    for made, source in (("ods", "a.csv"), ("csv", "a.ods")):
        command = [
            str(CALC),
            home,
            "--headless",
            "--convert-to",
            made,
            "--outdir",
            str(tmp_path),
            str(tmp_path / source),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    found = storage.read_records(path)
    for record, expected in zip(found, RECORDS, strict=True):
        assert record.rate_per_s == pytest.approx(expected.rate_per_s)
        assert (record.valid, record.started_utc, record.batch) == (
            expected.valid,
            expected.started_utc,
            expected.batch,
        )


# ---------------------------------------------------------------------------------------------------------------------
# hostile files


def test_control_characters_of_a_foreign_file_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(PLAIN.replace("Example GPU A", "\x1b[2J\x1b]52;c;aGk=\x07GPU"))
    names = set(storage.read([path])["device_name"])
    assert names == {r"\x1b[2J\x1b]52;c;aGk=\x07GPU"}


def test_a_line_without_end_is_refused_early(tmp_path: Path) -> None:
    """A sparse file of 3 GiB and one line of 8 MiB: neither is read into memory as a whole."""
    path = tmp_path / "a.csv"
    path.write_text(PLAIN)
    os.truncate(path, 3 << 30)
    with pytest.raises(BenchError, match="larger than 2048 MiB"):
        storage.read([path])
    path.write_text(PLAIN + "x" * (8 << 20))
    with pytest.raises(BenchError, match="line 7: longer than 1 MiB"):
        storage.read([path])
    path.write_text("x" * (8 << 20))
    with pytest.raises(BenchError, match="line 1: not a CSV"):
        storage.read([path])


def test_a_fifo_in_a_folder_is_skipped_and_one_that_is_given_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.csv"
    os.mkfifo(fifo)
    factory.write(tmp_path / "a.csv", RECORDS)
    assert len(storage.read([tmp_path])) == len(RECORDS)
    script = f"cat {tmp_path / 'a.csv'} > {fifo}"
    with subprocess.Popen(["/bin/sh", "-c", script]):
        assert storage.to_records(storage.read([fifo])) == RECORDS


def test_standard_input_is_read(tmp_path: Path) -> None:
    script = "from bench import storage; from pathlib import Path; print(len(storage.read([Path('-')])))"
    done = subprocess.run([sys.executable, "-c", script], input=PLAIN, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(len(RECORDS))


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_not_read(device: str) -> None:
    with pytest.raises(BenchError, match="is not a file"):
        storage.read([Path(device)])


def test_one_file_by_two_names_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = factory.write(tmp_path / "a.csv", RECORDS)
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "hard").hardlink_to(path)
    monkeypatch.chdir(tmp_path)
    names = [path, Path("a.csv"), Path("link"), Path("hard"), tmp_path / "." / "a.csv"]
    assert len(storage.read(names)) == len(RECORDS)


def test_copies_of_a_window_count_once(tmp_path: Path) -> None:
    """Four copies of a file are no more evidence than one, whatever their order and whatever else is there."""
    for number in range(4):
        factory.write(tmp_path / f"{number}.csv", RECORDS[::-1] if number % 2 else RECORDS)
    factory.write(tmp_path / "other.csv", factory.run(factory.CARD_B, repeats=1))
    notes: list[str] = []
    assert len(storage.read([tmp_path], note=notes.append)) == len(RECORDS) + 2
    (note,) = notes
    assert note.startswith(f"{3 * len(RECORDS)} rows are copies of windows read before")
    assert f"{tmp_path / '1.csv'}, line 2" in note


cells = (
    st.sampled_from(["", "1", "true", "NA", "1,5", "1.5", "=x", "\x00", '"', "\n", "é", "1e999", "9" * 40]) | st.text()
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(cells, max_size=4), max_size=4),
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "latin-1"]),
    at=st.integers(0, len(storage.NAMES) - 1),
)
def test_anything_is_understood_or_refused(rows: list[list[str]], delimiter: str, encoding: str, at: int) -> None:
    filled = [[*row, *table()[1][len(row) :]] for row in rows]
    filled = [[*row[at:], *row[:at]] for row in filled]
    text = written([[*storage.NAMES[at:], *storage.NAMES[:at]], *filled], delimiter)
    try:
        found = understand(text.encode(encoding, "ignore"), Path("a.csv"))
    except BenchError:
        return
    assert all(len(row) == len(storage.NAMES) for row in found.rows)


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(BenchError):
        understand(raw, Path("a.csv"))
