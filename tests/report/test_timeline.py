"""Runs from sidecars, and the figure of their rate, power and clocks over time."""

from __future__ import annotations

import pytest

from bench.model import Sample
from bench.report import timeline
from bench.report.runs import Run, runs


def test_windows_are_shaded_numbered_and_throttling_is_marked(sample):
    frame, _, sidecars = sample
    found = runs(frame, sidecars)
    view = timeline.draw(found).views[0]
    shades = [shape for shape in view.layout["shapes"] if shape["type"] == "rect"]
    assert [shape["series"] for shape in shades].count("alarm") == 1
    assert [shape["series"] for shape in shades].count("window") == 11
    assert [shape["series"] for shape in shades].count("idle") == 1
    alarm = next(shape for shape in shades if shape["series"] == "alarm")
    marks = next(trace for trace in view.data if trace["name"] == "thermal, hardware")
    assert marks["series"] == "alarm"
    assert all(alarm["x0"] <= x <= alarm["x1"] for x in marks["x"])
    assert "7 ✖" in [item["text"] for item in view.layout["annotations"]]
    power = next(trace for trace in view.data if trace["name"] == "Power (W)")
    # the failed read of each window is a gap, not a zero
    assert None in power["y"]
    assert min(y for y in power["y"] if y is not None) > 60
    assert [shape["label"]["text"] for shape in view.layout["shapes"] if shape["type"] == "line"] == ["limit 700 W"]


def test_a_window_is_named_by_its_own_row(sample):
    frame, _, sidecars = sample
    run_a = runs(frame, sidecars)[0]
    rows = frame[frame["file"].astype(str).str.endswith("example-a.csv")]
    assert [item.row + 1 for item in run_a.stretches] == rows["line"].tolist()
    assert [item.rate_per_s for item in run_a.stretches] == rows["rate_per_s"].tolist()
    assert [item.valid for item in run_a.stretches] == rows["valid"].tolist()


def test_a_sidecar_of_other_rows_is_left_out(sample):
    frame, _, sidecars = sample
    others = frame[frame["file"].astype(str).str.endswith("example-b.csv")]
    assert [run.name for run in runs(others, sidecars) if run.stretches] == ["example-b.csv"]


def test_thinning_keeps_the_extremes_and_the_gaps():
    points = [(float(n), 100.0) for n in range(50_000)]
    points[31_337], points[12_345], points[40_000] = (31_337.0, 900.0), (12_345.0, 3.0), (40_000.0, None)
    thin = timeline._thinned(points)
    assert len(thin) <= timeline.MOST_POINTS + 1
    assert {900.0, 3.0, None} <= {value for _, value in thin}
    assert thin == sorted(thin, key=lambda point: point[0])


def test_watts_come_from_the_counter_where_no_power_is_read():
    samples = tuple((n / 10, Sample(n * 100_000_000, counter_j=12.5 * n)) for n in range(40))
    run_ = Run("x", (), ((0.0, 4.0),), samples)
    watts = [value for _, value in timeline._counter_watts(run_)]
    assert watts == [pytest.approx(125.0)] * len(watts)
    assert timeline._panels(run_)[0][0] == "Power, from the counter (W)"
