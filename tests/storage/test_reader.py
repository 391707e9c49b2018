"""Reading result CSVs: every cell of its column's type, or the file is refused with its line."""

from __future__ import annotations

import csv
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench import storage
from bench.model import BenchError
from bench.storage import reader
from tests.support import factory
from tests.support.evidence import WINDOW


def good(folder: Path) -> list[list[str]]:
    path = factory.write(folder / "a.csv", factory.run(repeats=2))
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def put(folder: Path, rows: list[list[str]]) -> Path:
    path = folder / "bad.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    return path


AT = {name: position for position, name in enumerate(storage.NAMES)}


@pytest.mark.parametrize(
    ("column", "text", "says"),
    [
        ("energy_j", "much", "energy_j is 'much' and must be a number"),
        ("rate_per_s", "inf", "must be a number"),
        ("rate_per_s", "1e999", "must be a number"),
        ("work", "0x10", "must be a number"),
        ("launches", "3.5", "launches is '3.5' and must be a whole number"),
        ("batch", "many", "must be a whole number"),
        ("valid", "yes", "must be true or false"),
        ("rate_per_s", "nan", "rate_per_s is empty"),
        ("rate_per_s", "1e308", "rate_per_s is 1e+308, which no device can reach"),
        ("work", "1e-300", "which no device can reach"),
        ("work", "1,234.5", "a comma"),
        ("launches", "1" * 5000, "must be a whole number"),
        ("batch", "9223372036854775808", "must be a whole number"),
        ("ecc", "1", "must be true or false"),
        ("valid", "", "valid is empty and must not be"),
        ("device_name", "", "device_name is empty"),
        ("window_s", "", "window_s is empty"),
        ("schema_version", "2", "schema_version 2 is newer than this bitwatt's 1"),
        ("schema_version", "0", "there is no schema_version 0"),
        ("schema_version", "one", "must be a whole number"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, column: str, text: str, says: str) -> None:
    rows = good(tmp_path)
    rows[3][AT[column]] = text
    path = put(tmp_path, rows)
    with pytest.raises(BenchError) as told:
        storage.read([tmp_path / "a.csv", path])
    assert str(told.value).startswith(f"{path}, line 4: ")
    assert says in told.value.message
    assert told.value.fix


def test_a_cell_that_is_wrong_in_a_column_nobody_asked_for_is_refused_too(tmp_path: Path) -> None:
    rows = good(tmp_path)
    rows[1][AT["mfu"]] = "half"
    with pytest.raises(BenchError, match="line 2: mfu"):
        storage.read([put(tmp_path, rows)], ["work"])


@pytest.mark.parametrize("name", ["rate_per_s", "schema_version"])
def test_a_required_column_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    rows = [[*row[: AT[name]], *row[AT[name] + 1 :]] for row in good(tmp_path)]
    with pytest.raises(BenchError, match=f"line 1: the column '{name}' is missing"):
        storage.read([put(tmp_path, rows)])


def test_a_repeated_column_is_named(tmp_path: Path) -> None:
    rows = good(tmp_path)
    with pytest.raises(BenchError, match="the column 'work' appears twice"):
        storage.read([put(tmp_path, [[*rows[0], "work"], *([*row, "1.0"] for row in rows[1:])])])


def test_a_newer_schema_is_named_before_its_columns(tmp_path: Path) -> None:
    rows = good(tmp_path)
    rows = [[*rows[0], "mood"], *([*row, ""] for row in rows[1:])]
    rows[1][0] = "2"
    with pytest.raises(BenchError, match="schema_version 2 is newer"):
        storage.read([put(tmp_path, rows)])


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    rows = [row[::-1] for row in good(tmp_path)]
    assert storage.read_records(put(tmp_path, rows)) == storage.read_records(tmp_path / "a.csv")


@pytest.mark.parametrize("dropped", [1, 2, 40])
def test_a_row_cut_short_is_named(tmp_path: Path, dropped: int) -> None:
    rows = good(tmp_path)
    rows[2] = rows[2][:-dropped]
    with pytest.raises(
        BenchError, match=f"line 3: {len(storage.NAMES) - dropped} cells, but the header has {len(storage.NAMES)}"
    ):
        storage.read([put(tmp_path, rows)])
    rows[2] = rows[2] + ["1.0"] * (dropped + 1)
    with pytest.raises(BenchError, match="line 3"):
        storage.read([put(tmp_path, rows)])


def test_a_file_cut_at_any_byte_is_refused_or_said(tmp_path: Path) -> None:
    """Only a cut in the very last cell of a row, which is free text, cannot be told from a missing line end."""
    path = factory.write(tmp_path / "a.csv", factory.run(repeats=1))
    raw = path.read_bytes()
    whole = storage.read_records(path)
    read = 0
    for cut in range(0, len(raw), 13):
        path.write_bytes(raw[:cut])
        notes: list[str] = []
        try:
            frame = storage.read([path], note=notes.append)
        except BenchError:
            continue
        read += 1
        assert storage.to_records(frame)[:-1] == whole[: len(frame) - 1]
        assert raw[:cut].endswith(b"\n") or "its warnings may be incomplete" in notes[0]
    assert read <= 2


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hello\nworld\n", "is not a bitwatt result CSV"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1: not UTF-8 text"),
        (b'{"kind":"sidecar"}\n', "is not a bitwatt result CSV"),
        (",".join(storage.NAMES).encode() + b"\n", "has a header and no rows"),
        (",".join(storage.NAMES).encode(), "has a header and no rows"),
    ],
)
def test_what_is_no_csv_is_refused(tmp_path: Path, raw: bytes, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(raw)
    with pytest.raises(BenchError, match=says):
        storage.read([path])


def test_bytes_that_are_no_text_and_broken_lines_are_named(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", factory.run(repeats=1))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"example-host", b"ex\xffmple-host"))
    with pytest.raises(BenchError, match="not UTF-8"):
        storage.read([path])
    path.write_bytes(raw.replace(b"example-host", b'"example\nhost"'))
    with pytest.raises(BenchError, match="line 2: a quoted cell runs over"):
        storage.read([path])


def test_a_spreadsheet_may_add_its_marks(tmp_path: Path) -> None:
    records = factory.run(repeats=1)
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + storage.to_csv(records).replace("\n", "\r\n").encode())
    assert storage.read_records(path) == records


def test_no_such_file_or_folder_or_nothing(tmp_path: Path) -> None:
    for paths, says in (([tmp_path / "none.csv"], "there is no file"), ([tmp_path], "holds no .csv"), ([], "no CSV")):
        with pytest.raises(BenchError, match=says):
            storage.read(paths)


def test_an_unreadable_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = factory.write(tmp_path / "a.csv", factory.run(repeats=1))

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(BenchError, match=r"cannot read .*permission denied"):
        storage.read([path])


def test_folders_give_their_csvs_and_no_sidecars(tmp_path: Path) -> None:
    for card, name in ((factory.CARD_B, "b"), (factory.CARD_A, "a")):
        with storage.create(tmp_path, name) as results:
            for record in factory.run(card, repeats=1):
                results.append(record, window=WINDOW)
    frame = storage.read([tmp_path, tmp_path / "a.csv"])
    assert frame["device_name"].tolist() == ["Example GPU A"] * 2 + ["Example GPU B"] * 2
    assert frame["line"].tolist() == [2, 3, 2, 3]


def test_many_files_and_pieces_keep_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches far smaller than the files must give the same frame, and name the same line."""
    for number in range(40):
        factory.write(tmp_path / f"{number:02d}.csv", factory.run(repeats=1 + number % 5, seed=number))
    whole = storage.read([tmp_path])
    for size in (700, 5_000, 30_000):
        monkeypatch.setattr(reader, "_BATCH_BYTES", size)
        assert storage.read([tmp_path]).astype(object).equals(whole.astype(object))
    bad = tmp_path / "23.csv"
    with bad.open(newline="") as stream:
        rows = list(csv.reader(stream))
    rows[1][AT["verified"]] = "maybe"
    put(tmp_path, rows).replace(bad)
    with pytest.raises(BenchError, match=r"23\.csv, line 2: verified is 'maybe'"):
        storage.read([tmp_path])


def test_kept_columns_only(tmp_path: Path) -> None:
    factory.write(tmp_path / "a.csv", factory.run(repeats=1))
    assert list(storage.read([tmp_path], ["work", "batch"]).columns) == ["file", "line", "work", "batch"]


def test_importing_the_store_loads_nothing_heavy() -> None:
    script = textwrap.dedent("""
        import sys
        import bench.storage
        heavy = {"torch", "pandas", "numpy", "pyarrow", "scipy"} & set(sys.modules)
        assert not heavy, heavy
    """)
    subprocess.run([sys.executable, "-c", script], check=True)


def test_files_and_lines_that_are_too_large_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = factory.write(tmp_path / "a.csv", factory.run(repeats=2))
    with path.open("a") as stream:
        stream.write("x" * (2 << 20))
    with pytest.raises(BenchError) as caught:
        storage.read([path])
    assert caught.value.message == f"{path}, line 6: longer than 1 MiB"
    monkeypatch.setattr(reader, "MOST_BYTES", 1 << 20)
    with pytest.raises(BenchError) as caught:
        storage.read([path])
    assert caught.value.message == f"{path} is larger than 1 MiB"
