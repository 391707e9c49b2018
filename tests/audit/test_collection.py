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
    ("records", "says", "fix"),
    [
        (factory.run(), "is from a made-up device, 'Example GPU A'", "measure a real one with `make bench`"),
        ([*run_of(), *run_of(device_uuid="GPU-2")], "holds 2 devices", "contribute one file for each"),
        (run_of(mode="quick"), "has rows in quick mode", "measure in standard mode: `make bench`"),
        (
            [*run_of(mode="smoke"), *run_of(mode="quick")],
            "has rows in quick and smoke mode",
            "measure in standard mode: `make bench`",
        ),
        (run_of(energy_method="assumed"), "has assumed power", "measure with a sensor, or without power"),
        (
            [*run_of(), *run_of(window_s=4.9)],
            "line 8: the window is shorter than 5 s",
            "measure without --window: `make bench`",
        ),
        (run_of(repeats=2), "sha256d scan has 2 valid windows", "measure with --repeats 3 or more"),
        (run_of(repeats=1), "sha256d scan has 1 valid window", "measure with --repeats 3 or more"),
        (run_of(verified=False), "line 2: the work was not verified", "find out why before contributing it"),
        (
            run_of(verified=False, proven=False),
            "line 2: the work was not proven by enough shares",
            "measure with fewer --share-bits",
        ),
        (run_of(valid=False), "has no valid row", "see its invalid_reasons and measure again"),
    ],
)
def test_what_may_not_join_is_told_why(tmp_path: Path, records: list[Record], says: str, fix: str) -> None:
    path = put(tmp_path, records)
    with pytest.raises(BenchError) as caught:
        collection.check(path)
    assert caught.value.message.removeprefix(str(path)).lstrip(":, ") == says
    assert caught.value.fix == fix
    assert (caught.value.exit_code == EXIT_INVALID) == ("the work" in says or "no valid" in says)


def test_a_window_of_the_least_length_may_join(tmp_path: Path) -> None:
    assert collection.check(put(tmp_path, run_of(window_s=collection.LEAST_WINDOW_S))).rows == 6


@pytest.mark.parametrize(
    ("limits", "named"), [((700.0, 700.0), "700w-"), ((700.0, 350.0), "limits-"), ((None, None), "")]
)
def test_the_name_holds_the_limit(tmp_path: Path, limits: tuple[float | None, float | None], named: str) -> None:
    records = [record for limit in limits for record in run_of(power_limit_w=limit)]
    assert collection.check(put(tmp_path, records)).name == f"nvidia-h100-80gb-hbm3-{named}999.99-20260101.csv"


@pytest.mark.parametrize(
    ("tenants", "note"),
    [
        (None, ()),
        (1, ("1 other process had a context on the card",)),
        (2, ("2 other processes had a context on the card",)),
    ],
)
def test_other_processes_are_counted(tmp_path: Path, tenants: int | None, note: tuple[str, ...]) -> None:
    notes = collection.check(put(tmp_path, run_of(co_tenants=tenants))).notes
    assert tuple(text for text in notes if "context on the card" in text) == note


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


def test_the_table_has_the_published_figures_of_its_own_folder(tmp_path: Path) -> None:
    folder = empty_collection(tmp_path)
    path = folder / "reference" / "published.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert "1 figures for 1 cards" in collection.readme(folder)


def test_a_readme_without_its_marks_is_refused(tmp_path: Path) -> None:
    folder = empty_collection(tmp_path)
    (folder / "README.md").write_text("# R\n")
    with pytest.raises(BenchError, match="lacks the markers"):
        collection.readme(folder)
    (folder / "README.md").unlink()
    with pytest.raises(BenchError) as caught:
        collection.readme(folder)
    assert caught.value.message == f"cannot read {folder / 'README.md'} (no such file or directory)"
    assert caught.value.fix == "restore it"


def test_the_committed_readme_is_as_the_files_say() -> None:
    assert collection.readme(HERE) == (HERE / "README.md").read_text()
