"""Decode over batches, and layers that ran against one block."""

from __future__ import annotations

import pytest

from bench import report
from bench.report import latency
from bench.report.entries import collect
from tests.support.factory import CARD_A, gemm
from tests.support.page import Page, frame_of


def decodes(rates, **changes):
    return [
        gemm(CARD_A, repeat, phase="decode", seq=2048, batch=batch, tokens_per_s=rate * (1 + repeat / 1000), **changes)
        for batch, rate in rates.items()
        for repeat in (1, 2, 3)
    ]


def test_a_user_waits_batch_over_rate(tmp_path):
    frame, result = frame_of(tmp_path, decodes({1: 100.0, 16: 800.0}))
    ((_where, points),) = latency.steps(collect(frame, result)).items()
    assert [point.batch for point in points] == [1, 16]
    assert points[0].seconds_per_token == pytest.approx(0.01, rel=5e-3)
    assert points[1].seconds_per_token == pytest.approx(0.02, rel=5e-3)
    assert points[1].tokens_per_s_per_user == pytest.approx(50, rel=5e-3)
    figure = latency.draw(collect(frame, result))
    (trace,) = figure.views[0].data
    assert trace["x"] == [point.tokens_per_s_per_user for point in points]
    assert trace["y"] == [point.tokens_per_s.value for point in points]
    seen = Page(report.render(frame, result))
    assert "Decode latency" in seen.headings
    assert "plot-latency" in seen.ids


def test_one_batch_is_no_curve(tmp_path):
    frame, result = frame_of(tmp_path, decodes({1: 100.0}))
    assert latency.draw(collect(frame, result)) is None
    assert "Decode latency" not in Page(report.render(frame, result)).headings


def test_layers_that_ran_are_compared_with_one_block(tmp_path):
    options = "inputs=normal"
    records = decodes({1: 100.0}, options=options) + decodes({1: 90.0}, options=f"{options} layers=4")
    frame, result = frame_of(tmp_path, records)
    text = Page(report.render(frame, result)).visible
    assert "Whole-model tokens/s from layers that ran" in text
    assert "-10.0%" in text
    # Another input is another task: nothing to compare.
    records = decodes({1: 100.0}, options="inputs=zeros") + decodes({1: 90.0}, options=f"{options} layers=4")
    other = tmp_path / "other"
    other.mkdir()
    frame, result = frame_of(other, records)
    assert "Whole-model" not in Page(report.render(frame, result)).visible
