"""How long the report page takes to render, apart from reading and comparing its rows."""

from __future__ import annotations

import pytest

from bench import report, storage
from bench.analysis import compare
from tests.support.factory import CARD_A, CARD_B, run, write


@pytest.mark.parametrize("repeats", [10, 2500])
def test_rendering_the_page(benchmark, tmp_path, repeats):
    rows = [*run(CARD_A, repeats), *run(CARD_B, repeats, seed=2)]
    frame = storage.read([write(tmp_path / "x.csv", rows)])
    result = compare.compare(frame)
    html = benchmark.pedantic(report.render, args=(frame, result), rounds=3, warmup_rounds=1)
    assert html.startswith("<!doctype html>")
