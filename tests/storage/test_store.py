"""The CSV and its sidecar: what is written is read back to the last bit, and what is wrong is refused by line."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import struct
import subprocess
import sys
import textwrap
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.model import Audit, BenchError, CardState, Device, Record, Sample, Sensor, Share, Window
from bench.storage import store
from tests.support import factory
from tests.support.paths import ROOT

SENSOR = Sensor(
    source="nvml", scope="gpu", sensor_id="GPU-x", counter=True, counter_period_s=0.1, gain_uncertainty=0.05
)
SAMPLES = (
    Sample(t_ns=10**18 + 1, power_w=0.1 + 0.2, counter_j=1e9 / 3, temperature_c=61.0, throttle=("sw_power_cap",)),
    Sample(t_ns=10**18 + 2, missing=True, error="Not Supported"),
)
AUDIT = Audit(
    ok=True,
    share_bits=32,
    shares_expected=1.5,
    shares_found=1,
    shares=(Share("00" * 76 + "07000000", 7),),
    details={"residual": 0.25},
)
WINDOW = Window(start_ns=10**18, end_ns=10**18 + 3, launches=2, work=2.0**40 + 1)


def test_an_infinite_residual_is_kept_as_text(tmp_path: Path) -> None:
    wrong = replace(AUDIT, ok=False, reasons=("wrong",), details={"residual": float("inf"), "other": float("nan")})
    with store.create(tmp_path, "x") as results:
        results.append(factory.sha256d(), window=WINDOW, audit=wrong)
    (note,) = store.read_sidecar(results.sidecar).windows
    assert note.audit is not None
    assert note.audit.details == {"residual": "inf", "other": "nan"}


def test_columns_are_the_fields_of_record() -> None:
    assert list(store.NAMES) == [entry.name for entry in fields(Record)]
    by_name = {column.name: column for column in store.COLUMNS}
    assert by_name["energy_j"] == store.Column("energy_j", float, False, "gross joules of the window")
    assert by_name["valid"].type is bool
    assert by_name["valid"].required
    assert by_name["batch"].type is int


def test_round_trip_through_store_and_reader(tmp_path: Path) -> None:
    records = [*factory.run(repeats=3), factory.invalid(factory.sha256d(repeat=4))]
    with store.create(tmp_path / "deep" / "er", "a") as results:
        for number, record in enumerate(records, 1):
            assert results.append(record) == number
    path = tmp_path / "deep" / "er" / "a.csv"
    assert store.read_records(path) == records
    frame = store.read([path])
    assert list(frame.columns) == ["file", "line", *store.NAMES]
    assert frame["line"].tolist() == list(range(2, 2 + len(records)))
    assert set(frame["file"]) == {str(path)}
    assert not frame["valid"].iloc[-1]


any_float = st.floats(allow_nan=False, allow_infinity=False)
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
    assert store.read_records(path) == [record]


def test_doubles_round_trip_to_the_last_bit(tmp_path: Path) -> None:
    source = random.Random(7)
    values = [struct.unpack("d", struct.pack("Q", source.getrandbits(64)))[0] for _ in range(2000)]
    values = [value for value in values if value == value and abs(value) != float("inf")]
    path = factory.write(tmp_path / "a.csv", [replace(factory.sha256d(), work=value) for value in values])
    assert store.read([path])["work"].tolist() == values


def test_missing_is_empty_and_never_zero(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", [factory.sha256d(metered=False)])
    (cells,) = csv.DictReader(path.read_text().splitlines())
    assert cells["energy_j"] == cells["work_per_j"] == cells["phase"].replace("scan", "") == ""
    assert cells["native"] == "true"
    (record,) = store.read_records(path)
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
    with store.create(tmp_path, "a") as results:
        results.append(factory.sha256d())
        with pytest.raises(ValueError, match=next(iter(change))):
            results.append(replace(factory.sha256d(repeat=2), **change))  # type: ignore[arg-type]
    assert len(store.read_records(tmp_path / "a.csv")) == 1


def test_control_characters_never_break_a_row(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", [replace(factory.sha256d(), warnings='a\r\nb, "c"\x00')])
    assert path.read_text().count("\n") == 2
    assert store.read_records(path)[0].warnings == 'a  b, "c"'


# ---------------------------------------------------------------------------------------------------------------------
# writing


def test_a_row_can_be_written_anew(tmp_path: Path) -> None:
    with store.create(tmp_path, "a") as results:
        results.append(factory.sha256d(repeat=1))
        results.append(factory.sha256d(repeat=2))
        results.replace(1, replace(factory.sha256d(repeat=1), idle_power_w=80.0))
        with pytest.raises(IndexError):
            results.replace(3, factory.sha256d())
    assert [record.idle_power_w for record in store.read_records(tmp_path / "a.csv")] == [80.0, 75.0]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    with store.create(tmp_path, "a"), pytest.raises(BenchError, match="is there already"):
        store.create(tmp_path, "a")
    (tmp_path / "b.csv").touch()
    with pytest.raises(BenchError, match=r"b\.csv is there already"):
        store.create(tmp_path, "b")
    with pytest.raises(BenchError, match="is there already"):
        store.create(tmp_path / "b.csv", "c")


def test_nothing_temporary_stays(tmp_path: Path) -> None:
    with store.create(tmp_path, "a") as results:
        results.append(factory.sha256d(), window=WINDOW)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.csv", "a.samples.jsonl"]


def test_the_evidence_is_on_disk_before_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's own write fails: its evidence is there already, and the rows before are intact."""
    with store.create(tmp_path, "a") as results:
        results.append(factory.sha256d(repeat=1), window=WINDOW)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(BenchError, match="no space left on device"):
            results.append(factory.sha256d(repeat=2), window=WINDOW)
        monkeypatch.undo()
        assert len(store.read_records(results.path)) == 1
        assert [note.row for note in store.read_sidecar(results.sidecar).windows] == [1, 2]
        # the same row again, now that there is space: its second telling counts
        assert results.append(factory.sha256d(repeat=2), window=replace(WINDOW, launches=9)) == 2
    windows = store.read_sidecar(results.sidecar).windows
    assert [note.window.launches for note in windows] == [2, 9]
    assert len(store.read_records(results.path)) == 2


def test_half_a_line_does_not_stay_in_the_sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills in the middle of the evidence, then space is freed and the run goes on."""
    with store.create(tmp_path, "a") as results:
        results.append(factory.sha256d(repeat=1), window=WINDOW)

        def half(fd: int, data: bytes) -> None:
            os.write(fd, data[: len(data) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(store, "_write_all", half)
        with pytest.raises(BenchError, match=r"a\.samples\.jsonl \(no space left on device\)"):
            results.append(factory.sha256d(repeat=2), window=WINDOW)
        monkeypatch.undo()
        results.append(factory.sha256d(repeat=2), window=WINDOW)
    sidecar = store.read_sidecar(results.sidecar)
    assert not sidecar.torn
    assert [note.row for note in sidecar.windows] == [1, 2]


_FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.support import factory
from bench.storage import store
from bench.model import BenchError, Window
results = store.create(Path({out!r}), "a")
for repeat in (1, 2):
    results.append(factory.sha256d(repeat=repeat), window=Window(0, 1, 1, 1.0))
limit = results.path.stat().st_size + {slack}
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for repeat in range(3, 50):
        results.append(factory.sha256d(repeat=repeat), window=Window(0, 1, 1, 1.0))
except BenchError as error:
    print(error)
"""


@pytest.mark.parametrize("slack", [1, 700])
def test_a_file_that_may_grow_no_more_keeps_its_rows(tmp_path: Path, slack: int) -> None:
    script = _FULL.format(tests=str(ROOT), out=str(tmp_path), slack=slack)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cannot write ")
    assert "file too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert len(store.read_records(tmp_path / "a.csv")) >= 2
    assert not list(tmp_path.glob(".*tmp"))
    assert not store.read_sidecar(tmp_path / "a.samples.jsonl").torn


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Path:
    """A real file system of 64 KiB. Skipped where it may not be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    ) if os.geteuid() == 0 else None  # fmt: skip
    if mounted is None or mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_keeps_the_rows(tiny_disk: Path) -> None:
    with store.create(tiny_disk, "a") as results:
        results.append(factory.sha256d(repeat=1), window=WINDOW)

        def fill() -> None:
            for repeat in range(2, 500):
                results.append(factory.sha256d(repeat=repeat), window=WINDOW, samples=SAMPLES)

        with pytest.raises(BenchError, match="no space left on device") as told:
            fill()
        assert "free some space" in told.value.fix
        rows = store.read_records(results.path)
        assert rows == list(results.records)
        assert not list(tiny_disk.glob(".*tmp"))
        sidecar = store.read_sidecar(results.sidecar)
        assert len(rows) <= len(sidecar.windows) <= len(rows) + 1


def test_a_folder_that_may_not_be_made(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"cannot write .*a\.csv"):
        store.create(Path("/proc/nowhere"), "a")


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.support import factory
from bench.storage import store
from bench.model import Window
results = store.create(Path({out!r}), "a")
for repeat in (1, 2):
    results.append(factory.sha256d(repeat=repeat), window=Window(0, 1, 1, 1.0))
os.write(results._fd, b'{{"kind":"window","row":3,"sta')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_third_window_leaves_two(tmp_path: Path) -> None:
    script = _KILLED.format(tests=str(ROOT), out=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert len(store.read_records(tmp_path / "a.csv")) == 2
    sidecar = store.read_sidecar(tmp_path / "a.samples.jsonl")
    assert sidecar.torn
    assert [note.row for note in sidecar.windows] == [1, 2]


# ---------------------------------------------------------------------------------------------------------------------
# the sidecar


def write_sidecar(folder: Path) -> Path:
    with store.create(folder, "a") as results:
        number = results.sensor(SENSOR, CardState(power_limit_w=700.0, mig=False), Device("cuda", 0, "Example GPU A"))
        results.idle("before", 5, 6, SAMPLES, sensor=number)
        results.append(factory.sha256d(), window=WINDOW, samples=SAMPLES, audit=AUDIT, sensor=number)
        results.note("warm-up", {"rates": [0.1, 0.2]})
        results.append(factory.gemm(), window=WINDOW, sensor=number)
        results.idle("after", 7, 8, SAMPLES, sensor=number)
    return results.sidecar


def test_the_sidecar_gives_back_what_was_put_in(tmp_path: Path) -> None:
    sidecar = store.read_sidecar(write_sidecar(tmp_path))
    assert sidecar.sensors == (
        store.SensorNote(SENSOR, CardState(power_limit_w=700.0, mig=False), Device("cuda", 0, "Example GPU A")),
    )
    assert sidecar.idles == (store.IdleNote(0, "before", 5, 6, SAMPLES), store.IdleNote(0, "after", 7, 8, SAMPLES))
    assert [replace(note, columns={}) for note in sidecar.windows] == [
        store.WindowNote(1, WINDOW, SAMPLES, AUDIT, 0),
        store.WindowNote(2, WINDOW, (), None, 0),
    ]
    for note, record in zip(sidecar.windows, (factory.sha256d(), factory.gemm()), strict=True):
        assert {name: note.columns.get(name) for name in store.NAMES} == asdict(record)
    assert sidecar.notes == (("warm-up", {"rates": [0.1, 0.2]}),)
    assert not sidecar.torn


def test_a_sidecar_cut_anywhere_in_its_last_line_is_readable(tmp_path: Path) -> None:
    path = write_sidecar(tmp_path)
    raw = path.read_bytes()
    start = raw.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(start + 1, len(raw) - 1, 7):
        path.write_bytes(raw[:cut])
        sidecar = store.read_sidecar(path)
        assert sidecar.torn
        assert len(sidecar.idles) == 1
    path.write_bytes(raw[:-1])
    assert len(store.read_sidecar(path).idles) == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (2, "{"),
        (3, ""),
        (4, '{"kind":"window","row":1}'),
        (3, '{"kind":"mystery"}'),
        (3, "[]"),
        (2, '{"kind":"idle","sensor":0,"when":"before","start_ns":1,"end_ns":2,"samples":[]}'),
        (2, '{"kind":"sensor","number":0,"sensor":{"surprise":1},"card_state":null,"device":null}'),
    ],
)
def test_damage_inside_a_sidecar_is_refused_by_line(tmp_path: Path, line: int, text: str) -> None:
    path = write_sidecar(tmp_path)
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(BenchError, match=f"line {line}: damaged"):
        store.read_sidecar(path)


def test_a_newer_or_foreign_sidecar_is_refused(tmp_path: Path) -> None:
    path = write_sidecar(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(lines[0]), "sidecar_version": 99}), *lines[1:]]) + "\n")
    with pytest.raises(BenchError, match="sidecar_version 99 is newer"):
        store.read_sidecar(path)
    path.write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(BenchError, match="not a bitwatt sidecar"):
        store.read_sidecar(path)
    path.write_text("")
    with pytest.raises(BenchError):
        store.read_sidecar(path)
    with pytest.raises(BenchError, match="no such file"):
        store.read_sidecar(tmp_path / "none.samples.jsonl")


def test_an_unannounced_sensor_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with store.create(tmp_path, "a") as results, pytest.raises(IndexError):
        results.append(factory.sha256d(), window=WINDOW, sensor=0)


# ---------------------------------------------------------------------------------------------------------------------
# strict reading


def good(folder: Path) -> list[list[str]]:
    path = factory.write(folder / "a.csv", factory.run(repeats=2))
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def put(folder: Path, rows: list[list[str]]) -> Path:
    path = folder / "bad.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    return path


AT = {name: position for position, name in enumerate(store.NAMES)}


@pytest.mark.parametrize(
    ("column", "text", "says"),
    [
        ("energy_j", "much", "energy_j is 'much' and must be a number"),
        ("energy_j", "nan", "must be a number"),
        ("rate_per_s", "inf", "must be a number"),
        ("rate_per_s", "1e999", "must be a number"),
        ("work", "0x10", "must be a number"),
        ("launches", "3.5", "launches is '3.5' and must be a whole number"),
        ("batch", "many", "must be a whole number"),
        ("valid", "True", "must be true or false"),
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
        store.read([tmp_path / "a.csv", path])
    assert str(told.value).startswith(f"{path}, line 4: ")
    assert says in told.value.message
    assert told.value.fix


def test_a_cell_that_is_wrong_in_a_column_nobody_asked_for_is_refused_too(tmp_path: Path) -> None:
    rows = good(tmp_path)
    rows[1][AT["mfu"]] = "half"
    with pytest.raises(BenchError, match="line 2: mfu"):
        store.read([put(tmp_path, rows)], ["work"])


@pytest.mark.parametrize("name", ["energy_j", "warnings", "schema_version"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    rows = [[*row[: AT[name]], *row[AT[name] + 1 :]] for row in good(tmp_path)]
    with pytest.raises(BenchError, match=f"the column '{name}' is missing"):
        store.read([put(tmp_path, rows)])


def test_an_unknown_or_repeated_column_is_named(tmp_path: Path) -> None:
    rows = good(tmp_path)
    with pytest.raises(BenchError, match="the column 'mood' is unknown"):
        store.read([put(tmp_path, [[*rows[0], "mood"], *([*row, ""] for row in rows[1:])])])
    with pytest.raises(BenchError, match="the column 'work' stands there twice"):
        store.read([put(tmp_path, [[*rows[0], "work"], *([*row, "1.0"] for row in rows[1:])])])


def test_a_newer_schema_is_named_before_its_columns(tmp_path: Path) -> None:
    rows = good(tmp_path)
    rows = [[*rows[0], "mood"], *([*row, ""] for row in rows[1:])]
    rows[1][0] = "2"
    with pytest.raises(BenchError, match="schema_version 2 is newer"):
        store.read([put(tmp_path, rows)])


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    rows = [row[::-1] for row in good(tmp_path)]
    assert store.read_records(put(tmp_path, rows)) == store.read_records(tmp_path / "a.csv")


@pytest.mark.parametrize("dropped", [1, 2, 40])
def test_a_row_cut_short_is_named(tmp_path: Path, dropped: int) -> None:
    rows = good(tmp_path)
    rows[2] = rows[2][:-dropped]
    with pytest.raises(
        BenchError, match=f"line 3: {len(store.NAMES) - dropped} cells where {len(store.NAMES)} are due"
    ):
        store.read([put(tmp_path, rows)])
    rows[2] = rows[2] + [""] * (dropped + 1)
    with pytest.raises(BenchError, match="line 3"):
        store.read([put(tmp_path, rows)])


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", factory.run(repeats=1))
    raw = path.read_bytes()
    ends = {place + 1 for place, byte in enumerate(raw) if byte == ord("\n")}
    for cut in range(0, len(raw), 13):
        path.write_bytes(raw[:cut])
        if cut in ends and cut > min(ends):
            continue
        with pytest.raises(BenchError):
            store.read([path])


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hello\nworld\n", "is not a bitwatt result CSV"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a bitwatt result CSV"),
        (b'{"kind":"sidecar"}\n', "is not a bitwatt result CSV"),
        (",".join(store.NAMES).encode() + b"\n", "has a header and no rows"),
        (",".join(store.NAMES).encode(), "has a header and no rows"),
    ],
)
def test_what_is_no_csv_is_refused(tmp_path: Path, raw: bytes, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(raw)
    with pytest.raises(BenchError, match=says):
        store.read([path])


def test_bytes_that_are_no_text_and_blank_lines_are_named(tmp_path: Path) -> None:
    path = factory.write(tmp_path / "a.csv", factory.run(repeats=1))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"example-host", b"ex\xffmple-host"))
    with pytest.raises(BenchError, match="not UTF-8"):
        store.read([path])
    path.write_bytes(raw + b"\n" + raw.split(b"\n")[1] + b"\n")
    with pytest.raises(BenchError, match="line 4: 0 cells"):
        store.read([path])
    path.write_bytes(raw.replace(b"example-host", b'"example\nhost"'))
    with pytest.raises(BenchError, match="line 2: a quoted cell runs over"):
        store.read([path])


def test_a_spreadsheet_may_add_its_marks(tmp_path: Path) -> None:
    records = factory.run(repeats=1)
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + store.to_csv(records).replace("\n", "\r\n").encode())
    assert store.read_records(path) == records


def test_no_such_file_or_folder_or_nothing(tmp_path: Path) -> None:
    for paths, says in (([tmp_path / "none.csv"], "there is no file"), ([tmp_path], "holds no .csv"), ([], "no CSV")):
        with pytest.raises(BenchError, match=says):
            store.read(paths)


def test_an_unreadable_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = factory.write(tmp_path / "a.csv", factory.run(repeats=1))

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(BenchError, match=r"cannot read .*permission denied"):
        store.read([path])


def test_folders_give_their_csvs_and_no_sidecars(tmp_path: Path) -> None:
    for card, name in ((factory.CARD_B, "b"), (factory.CARD_A, "a")):
        with store.create(tmp_path, name) as results:
            for record in factory.run(card, repeats=1):
                results.append(record, window=WINDOW)
    frame = store.read([tmp_path, tmp_path / "a.csv"])
    assert frame["device_name"].tolist() == ["Example GPU A"] * 2 + ["Example GPU B"] * 2
    assert frame["line"].tolist() == [2, 3, 2, 3]


def test_many_files_and_pieces_keep_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches far smaller than the files must give the same frame, and name the same line."""
    for number in range(40):
        factory.write(tmp_path / f"{number:02d}.csv", factory.run(repeats=1 + number % 5, seed=number))
    whole = store.read([tmp_path])
    for size in (700, 5_000, 30_000):
        monkeypatch.setattr(store, "_BATCH_BYTES", size)
        assert store.read([tmp_path]).astype(object).equals(whole.astype(object))
    bad = tmp_path / "23.csv"
    bad.write_text(bad.read_text().replace(",true,true,true,", ",true,maybe,true,"))
    with pytest.raises(BenchError, match=r"23\.csv, line 2: verified is 'maybe'"):
        store.read([tmp_path])


def test_kept_columns_only(tmp_path: Path) -> None:
    factory.write(tmp_path / "a.csv", factory.run(repeats=1))
    assert list(store.read([tmp_path], ["work", "batch"]).columns) == ["file", "line", "work", "batch"]


def test_json_has_the_columns_names_and_null(tmp_path: Path) -> None:
    (item,) = json.loads(store.to_json([factory.sha256d(metered=False)]))
    assert list(item) == list(store.NAMES)
    assert item["energy_j"] is None
    assert item["native"] is True


def test_importing_the_store_loads_nothing_heavy() -> None:
    script = textwrap.dedent("""
        import sys
        import bench.storage.store
        heavy = {"torch", "pandas", "numpy", "pyarrow", "scipy"} & set(sys.modules)
        assert not heavy, heavy
    """)
    subprocess.run([sys.executable, "-c", script], check=True)


def test_limits_are_put_back() -> None:
    """The full-file tests set a limit in a child only."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
