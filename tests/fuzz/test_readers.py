"""Readers of strangers' files accept a file or refuse it in a sentence, whatever words in it are replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.model import BenchError
from tests.fuzz import targets
from tests.fuzz.targets import SEEDS, TARGETS, mutated, read


@pytest.mark.parametrize("name", TARGETS)
def test_sound_files_are_accepted(name: str, tmp_path: Path) -> None:
    for raw in TARGETS[name].examples():
        assert read(name, raw, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), number=st.integers(0, 99))
def test_odd_words_are_read_or_refused(name: str, tmp_path: Path, seed: int, number: int) -> None:
    examples = TARGETS[name].examples()
    read(name, mutated(examples[number % len(examples)], seed), tmp_path)


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_a_reader(path: Path, tmp_path: Path) -> None:
    read(path.parent.name, path.read_bytes(), tmp_path)


@pytest.mark.parametrize(("error", "escapes"), [(BenchError("a", "b"), False), (ValueError("a"), True)])
def test_only_a_sentence_may_be_raised(
    error: Exception, escapes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise error

    monkeypatch.setitem(targets.TARGETS, "plan", targets.Target("a.toml", fail, list))
    if escapes:
        with pytest.raises(ValueError, match="a"):
            read("plan", b"", tmp_path)
    else:
        assert not read("plan", b"", tmp_path)


def test_mutations_differ_and_repeat() -> None:
    raw = TARGETS["plan"].examples()[0]
    found = [mutated(raw, seed) for seed in range(50)]
    assert len(set(found)) > 40
    assert found == [mutated(raw, seed) for seed in range(50)]
    assert mutated(b"", 1) is not None
