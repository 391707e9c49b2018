"""The collection: what may join it, under what name, and a README that is as the files say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import storage
from bench.audit import collection
from bench.model import EXIT_INVALID, BenchError, Record, Window
from tests.support import factory
from tests.support.paths import ROOT

HERE = ROOT / "results"


def run_of(repeats: int = 3, **changes: Any) -> list[Record]:
    card = {"device_name": "NVIDIA H100 80GB HBM3", "host": None, "device_uuid": None}
    return [replace(record, **{**card, **changes}) for record in factory.run(factory.CARD_A, repeats)]


def put(folder: Path, records: list[Record], name: str = "a") -> Path:
    with storage.create(folder, name) as out:
        for record in records:
            out.append(record, window=Window(0, 1, 1, 1.0))
    return out.path


def test_a_good_run_gets_its_name(tmp_path: Path) -> None:
    found = collection.check(put(tmp_path, run_of()))
    assert found.name == "nvidia-h100-80gb-hbm3-700w-999.99-20260101.csv"
    assert found.rows == 6
    assert found.notes == ()


def test_what_a_reader_should_know_is_noted(tmp_path: Path) -> None:
    notes = collection.check(put(tmp_path, run_of(host="lab", device_uuid="GPU-1", dirty=True, co_tenants=2))).notes
    assert [any(word in note for note in notes) for word in ("'lab'", "UUID", "uncommitted", "2 other")] == [True] * 4
    bare = collection.check(put(tmp_path, run_of(energy_j=None, work_per_j=None), "b"))
    assert any("6 rows have no power" in note for note in bare.notes)


@pytest.mark.parametrize(
    ("records", "says"),
    [
        (factory.run(), "made-up device"),
        ([*run_of(), *run_of(device_uuid="GPU-2")], "holds 2 devices"),
        (run_of(mode="quick"), "quick mode"),
        (run_of(repeats=2), "2 valid windows"),
        (run_of(repeats=1), "1 valid window"),
        (run_of(verified=False), "line 2: the work was not verified"),
        (run_of(valid=False), "no valid row"),
    ],
)
def test_what_may_not_join_is_told_why(tmp_path: Path, records: list[Record], says: str) -> None:
    with pytest.raises(BenchError, match=says) as caught:
        collection.check(put(tmp_path, records))
    assert (caught.value.exit_code == EXIT_INVALID) == ("verified" in says or "no valid" in says)


def test_a_row_without_its_evidence_may_not_join(tmp_path: Path) -> None:
    path = put(tmp_path, run_of())
    sidecar = storage.sidecar_path(path)
    lines = sidecar.read_text().splitlines(keepends=True)
    sidecar.write_text("".join(lines[:-1]))
    with pytest.raises(BenchError, match="line 7: its window is not in the sidecar"):
        collection.check(path)
    sidecar.unlink()
    with pytest.raises(BenchError, match="has no sidecar"):
        collection.check(path)


def empty_collection(tmp_path: Path) -> Path:
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "published.csv").write_text((HERE / "reference" / "published.csv").read_text())
    (tmp_path / "README.md").write_text(f"# R\n\n{collection.BEGIN}\nold\n{collection.END}\n\nafter\n")
    return tmp_path


def test_the_readme_lists_what_is_there(tmp_path: Path) -> None:
    folder = empty_collection(tmp_path)
    assert "No card has been contributed yet" in collection.readme(folder)
    put(folder / "cards", run_of())
    put(folder / "cards", [replace(record, device_name="Other") for record in run_of()], "b")
    (folder / "local.csv").write_text("not listed")
    text = collection.readme(folder)
    assert text.count("NVIDIA H100 80GB HBM3") == 2
    assert "GH/s" in text
    assert "old" not in text
    assert text.endswith("\n\nafter\n")
    (folder / "README.md").write_text(text)
    assert collection.readme(folder) == text


def test_a_readme_without_its_marks_is_refused(tmp_path: Path) -> None:
    folder = empty_collection(tmp_path)
    (folder / "README.md").write_text("# R\n")
    with pytest.raises(BenchError, match="lacks the markers"):
        collection.readme(folder)
    (folder / "README.md").unlink()
    with pytest.raises(BenchError, match="cannot read"):
        collection.readme(folder)


def test_the_committed_readme_is_as_the_files_say() -> None:
    assert collection.readme(HERE) == (HERE / "README.md").read_text()
