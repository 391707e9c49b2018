"""Formats: each is found by its name alone, and pytest-benchmark's own tool reads the JSON that is written for it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, get_args

import pytest

from bench import output, storage
from bench.analysis import compare
from bench.output import Document, Format
from tests.support import factory

CARDS = [*factory.run(factory.CARD_A), *factory.run(factory.CARD_B, seed=2)]


def compared() -> Document:
    frame = storage.to_frame(CARDS)
    return output.comparison(compare.compare(frame), frame=frame)


@pytest.mark.parametrize("to", get_args(Format))
def test_every_format_renders_every_kind_of_result(to: Format) -> None:
    for document in (compared(), output.run(CARDS), Document((), [])):
        parts = output.render(document, to)
        assert all(str(part) == part or hasattr(part, "markup") for part in parts)
        if to in ("json", "pytest-benchmark"):
            json.loads(str(parts[0]))


def test_a_format_is_a_module_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("bench.output.formats.line_count")
    module.render = lambda document, width: [f"{len(document.rows)} rows in {width}"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    name: Any = "line-count"
    assert output.render(output.run(CARDS), name, 77) == [f"{len(CARDS)} rows in 77"]


def test_pytest_benchmark_holds_the_windows_of_each_device_and_task() -> None:
    dead = factory.invalid(factory.sha256d())
    for document in (compared(), output.run([*CARDS, dead])):
        saved = json.loads(str(output.render(document, "pytest-benchmark")[0]))
        first, *_ = saved["benchmarks"]
        assert len(saved["benchmarks"]) == 4
        assert first["name"] == "sha256d scan[Example GPU A 700 W]"
        rates = [r.rate_per_s for r in CARDS if (r.device_name, r.workload) == ("Example GPU A", "sha256d")]
        assert first["stats"]["data"] == pytest.approx([1 / rate for rate in rates])
        assert first["stats"]["rounds"] == len(rates)
        assert first["stats"]["ops"] == pytest.approx(statistics.harmonic_mean(rates))
        assert first["stats"]["stddev"] == pytest.approx(statistics.stdev(1 / rate for rate in rates))


def test_pytest_benchmark_compares_what_is_saved(tmp_path: Path) -> None:
    folder = tmp_path / "machine"
    folder.mkdir()
    for number, records in enumerate((CARDS[:10], CARDS[10:]), 1):
        text = str(output.render(output.run(records), "pytest-benchmark")[0])
        (folder / f"000{number}_run.json").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "--storage", str(tmp_path), "compare", "--sort", "name"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "sha256d scan[Example GPU A 700 W]" in done.stdout
    assert "sha256d scan[Example GPU B 300 W]" in done.stdout
