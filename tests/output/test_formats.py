"""Formats: each is found by its name alone, and pytest-benchmark's own tool reads the JSON that is written for it."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import types
from dataclasses import replace
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
        if to in ("json", "pytest-benchmark", "metrics"):
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


def test_metrics_are_one_flat_object_of_means_with_names_that_mlflow_allows() -> None:
    dead = factory.invalid(factory.sha256d())
    flat = json.loads(str(output.render(output.run([*CARDS, dead]), "metrics")[0]))
    rates = [r.rate_per_s for r in CARDS if (r.device_name, r.workload) == ("Example GPU A", "sha256d")]
    assert flat["Example GPU A 700 W/sha256d scan/rate_per_s"] == pytest.approx(statistics.fmean(rates))
    assert all(re.fullmatch(r"[\w\-./ ]+", name, re.ASCII) for name in flat)
    assert {type(value) for value in flat.values()} == {float}
    # two implementations of one task are two names
    other = [replace(record, implementation="cuda-v1") for record in CARDS]
    both = json.loads(str(output.render(output.run([*CARDS, *other]), "metrics")[0]))
    assert "Example GPU A 700 W/sha256d scan/cuda-v1/rate_per_s" in both
    assert len(both) == 2 * len(flat)


def test_prometheus_holds_a_gauge_per_metric_with_device_and_task() -> None:
    (text,) = output.render(output.run(CARDS), "prometheus")
    lines = str(text).splitlines()
    assert "# TYPE bitwatt_work_per_j gauge" in lines
    rates = [r.rate_per_s for r in CARDS if (r.device_name, r.workload) == ("Example GPU A", "sha256d")]
    start = 'bitwatt_rate_per_s{device="Example GPU A 700 W",task="sha256d scan",implementation="cuda-v2"} '
    (found,) = [line.removeprefix(start) for line in lines if line.startswith(start)]
    assert float(found) == pytest.approx(statistics.fmean(rates))
    assert output.render(Document((), []), "prometheus") == [""]
