"""A run whose shares prove nothing says so before it measures, in its rows, and in what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import storage
from bench.analysis import compare
from bench.audit.verify import verify
from bench.measure import session
from bench.measure.observer import Silent
from bench.measure.plan import OutputOptions, RunPlan, SelectionOptions
from bench.measure.timing import TimingOptions
from bench.output.run import row_notes
from bench.power.options import PowerOptions
from bench.workloads.hashing.options import HashingOptions


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def run(folder: Path, share_bits: int | None, observer: Silent, repeats: int = 3) -> session.RunResult:
    plan = RunPlan(
        selection=SelectionOptions(device="cpu", workload=("sha256d",)),
        hashing=HashingOptions(isa="generic", threads=1, share_bits=share_bits),
        power=PowerOptions(meter="none"),
        timing=TimingOptions(smoke=True, window_s=0.2, warmup_s=0.1, repeats=repeats),
        output=OutputOptions(out=folder),
    )
    return session.run(plan, observer)


def test_too_few_shares_are_announced_and_such_rows_are_not_verified(tmp_path: Path) -> None:
    seen = Notes()
    result = run(tmp_path, 32, seen)
    assert [(record.valid, record.proven, record.verified) for record in result.records] == [(True, False, False)] * 3
    assert not result.sound
    (note,) = [note for note in seen.notes if "too few to prove" in note]
    assert note.startswith("warning: sha256d: about ")
    (path,) = tmp_path.glob("*.csv")
    assert [record.verified for record in storage.read_records(path)] == [False] * 3
    assert {finding.message[:11] for finding in verify([path]).findings} == {"not proven:"}
    compared = compare.compare(storage.read([path], compare.COLUMNS))
    assert [row.reason for row in compared.invalid] == ["not proven: too few shares"] * 3
    assert not [figure for figure in compared.comparisons if figure.repeats], "no figure stands on such a row"
    assert "not proven: too few shares" in row_notes(result.records)[0]


def test_the_share_bits_that_the_warning_names_do_prove(tmp_path: Path) -> None:
    seen = Notes()
    run(tmp_path / "few", 32, seen)
    (note,) = [note for note in seen.notes if "too few to prove" in note]
    bits = int(note.partition("--share-bits ")[2].split()[0]) - 2  # the rate of a busy machine moves
    assert run(tmp_path / "enough", bits, Notes()).sound
    (path,) = (tmp_path / "enough").glob("*.csv")
    assert verify([path]).findings == ()


def test_rows_that_prove_only_together_are_verified_on_disk_as_soon_as_they_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first row alone proves nothing; with later ones it does, and is then written again."""
    from bench.workloads.hashing import proof

    seen: list[list[bool]] = []
    plain = storage.Store.append

    def watched(store: storage.Store, *arguments: object, **options: object) -> int:
        seen.append([record.verified for record in store.records])
        return plain(store, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(storage.Store, "append", watched)
    asked: list[int] = []
    monkeypatch.setattr(proof, "least_mean", lambda found: asked.append(found) or (0.0 if len(asked) == 1 else found))
    result = run(tmp_path, None, Notes())
    monkeypatch.undo()
    assert asked == sorted(asked), "each row is judged with those before it"
    assert all(record.verified and record.proven for record in result.records)
    assert seen[1] == [False]
    (path,) = tmp_path.glob("*.csv")
    assert verify([path]).findings == ()
