"""Shards → merge → outliers → page, with planted faults: the study behind docs/scale.md, on a small fleet."""

from __future__ import annotations

import pytest

from bench import report
from bench.analysis import outliers
from bench.analysis.compare import compare
from bench.fleet import merge
from bench.storage.fleet_rows import read_results, read_rows
from tests.support import scale_study


@pytest.mark.slow
def test_planted_cards_are_found_through_files(tmp_path):
    nodes = 120
    planted = scale_study.write_shards(tmp_path / "fleet", nodes, seed=3)
    assert {"slow", "thirsty", "hot"} == set(planted.values())
    merged = merge.merge([tmp_path / "fleet"], tmp_path / "f.parquet")
    assert (merged.cards, merged.missing) == (nodes * scale_study.CARDS, ())
    found = outliers.find(read_rows([tmp_path / "f.parquet"], outliers.COLUMNS))
    flagged = {(item.node, item.card): item for item in found.suspects}
    assert all(kind in flagged[key].kinds for key, kind in planted.items())
    assert len(set(flagged) - set(planted)) <= 1  # of ten or so; the mean over many fleets is the analysis' own test
    frame = read_results([tmp_path / "f.parquet"])
    html = report.render(frame, compare(frame))
    assert all(card in html for _node, card in planted)
    assert len(html) < 2e6
