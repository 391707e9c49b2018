"""Writing: evidence before its row, rows whole or not at all, whatever the disk does."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import storage
from bench.model import BenchError
from bench.storage import write_atomically, writer
from tests.support import factory
from tests.support.evidence import SAMPLES, WINDOW
from tests.support.paths import ROOT


def test_round_trip_through_store_and_reader(tmp_path: Path) -> None:
    records = [*factory.run(repeats=3), factory.invalid(factory.sha256d(repeat=4))]
    with storage.create(tmp_path / "deep" / "er", "a") as results:
        for number, record in enumerate(records, 1):
            assert results.append(record) == number
    path = tmp_path / "deep" / "er" / "a.csv"
    assert storage.read_records(path) == records
    frame = storage.read([path])
    assert list(frame.columns) == ["file", "line", *storage.NAMES]
    assert frame["line"].tolist() == list(range(2, 2 + len(records)))
    assert set(frame["file"]) == {str(path)}
    assert not frame["valid"].iloc[-1]


def test_rows_are_settled_in_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Net figures of a whole run are known only at its end: the file is written and synced once, not once a row."""
    written: list[Path] = []

    def counted(path: Path, text: str) -> None:
        written.append(path)
        write_atomically(path, text)

    with storage.create(tmp_path, "a") as results:
        for repeat in (1, 2, 3):
            results.append(factory.sha256d(repeat=repeat))
        monkeypatch.setattr(writer, "write_atomically", counted)
        results.settle([replace(record, idle_power_w=80.0) for record in results.records[1:]], first=2)
        assert written == [results.path]
        results.settle([], first=4)
        assert written == [results.path]
    assert [record.idle_power_w for record in storage.read_records(tmp_path / "a.csv")] == [75.0, 80.0, 80.0]
    assert list(results.records) == storage.read_records(tmp_path / "a.csv")


@pytest.mark.parametrize(("first", "count"), [(0, 1), (2, 1), (1, 2)])
def test_rows_that_do_not_exist_cannot_be_settled(tmp_path: Path, first: int, count: int) -> None:
    with storage.create(tmp_path, "a") as results:
        results.append(factory.sha256d())
        with pytest.raises(IndexError, match="there are no rows"):
            results.settle([factory.sha256d()] * count, first=first)


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    with storage.create(tmp_path, "a"), pytest.raises(BenchError, match="exists"):
        storage.create(tmp_path, "a")
    (tmp_path / "b.csv").touch()
    with pytest.raises(BenchError, match=r"b\.csv exists"):
        storage.create(tmp_path, "b")
    with pytest.raises(BenchError, match="exists"):
        storage.create(tmp_path / "b.csv", "c")


def test_nothing_temporary_stays(tmp_path: Path) -> None:
    with storage.create(tmp_path, "a") as results:
        results.append(factory.sha256d(), window=WINDOW)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.csv", "a.samples.jsonl"]


def test_the_evidence_is_on_disk_before_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's own write fails: its evidence exists, and the rows before are intact."""
    with storage.create(tmp_path, "a") as results:
        results.append(factory.sha256d(repeat=1), window=WINDOW)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(BenchError, match="no space left on device"):
            results.append(factory.sha256d(repeat=2), window=WINDOW)
        monkeypatch.undo()
        assert len(storage.read_records(results.path)) == 1
        assert [note.row for note in storage.read_sidecar(results.sidecar).windows] == [1, 2]
        # the same row again, now that there is space: its second telling counts
        assert results.append(factory.sha256d(repeat=2), window=replace(WINDOW, launches=9)) == 2
    windows = storage.read_sidecar(results.sidecar).windows
    assert [note.window.launches for note in windows] == [2, 9]
    assert len(storage.read_records(results.path)) == 2


def test_half_a_line_does_not_stay_in_the_sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills in the middle of the evidence, then space is freed and the run goes on."""
    with storage.create(tmp_path, "a") as results:
        results.append(factory.sha256d(repeat=1), window=WINDOW)

        def half(fd: int, data: bytes) -> None:
            os.write(fd, data[: len(data) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(writer, "write_all", half)
        with pytest.raises(BenchError, match=r"a\.samples\.jsonl \(no space left on device\)"):
            results.append(factory.sha256d(repeat=2), window=WINDOW)
        monkeypatch.undo()
        results.append(factory.sha256d(repeat=2), window=WINDOW)
    sidecar = storage.read_sidecar(results.sidecar)
    assert not sidecar.torn
    assert [note.row for note in sidecar.windows] == [1, 2]


_FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.support import factory
from bench import storage
from bench.model import BenchError, Window
results = storage.create(Path({out!r}), "a")
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
    assert len(storage.read_records(tmp_path / "a.csv")) >= 2
    assert not list(tmp_path.glob(".*tmp"))
    assert not storage.read_sidecar(tmp_path / "a.samples.jsonl").torn


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
    with storage.create(tiny_disk, "a") as results:
        results.append(factory.sha256d(repeat=1), window=WINDOW)

        def fill() -> None:
            for repeat in range(2, 500):
                results.append(factory.sha256d(repeat=repeat), window=WINDOW, samples=SAMPLES)

        with pytest.raises(BenchError, match="no space left on device") as told:
            fill()
        assert "free some space" in told.value.fix
        rows = storage.read_records(results.path)
        assert rows == list(results.records)
        assert not list(tiny_disk.glob(".*tmp"))
        sidecar = storage.read_sidecar(results.sidecar)
        assert len(rows) <= len(sidecar.windows) <= len(rows) + 1


def test_a_folder_that_may_not_be_made(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"cannot write .*a\.csv"):
        storage.create(Path("/proc/nowhere"), "a")


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.support import factory
from bench import storage
from bench.model import Window
results = storage.create(Path({out!r}), "a")
for repeat in (1, 2):
    results.append(factory.sha256d(repeat=repeat), window=Window(0, 1, 1, 1.0))
os.write(results._fd, b'{{"kind":"window","row":3,"sta')
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_third_window_leaves_two(tmp_path: Path) -> None:
    script = _KILLED.format(tests=str(ROOT), out=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert len(storage.read_records(tmp_path / "a.csv")) == 2
    sidecar = storage.read_sidecar(tmp_path / "a.samples.jsonl")
    assert sidecar.torn
    assert [note.row for note in sidecar.windows] == [1, 2]


def test_an_unannounced_sensor_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with storage.create(tmp_path, "a") as results, pytest.raises(IndexError):
        results.append(factory.sha256d(), window=WINDOW, sensor=0)
