"""The fleet's section: as many cards as there are, the outliers marked, in each language, limited by merit."""

from __future__ import annotations

import re

import pytest

from bench import report
from bench.analysis import outliers
from bench.analysis.compare import compare
from bench.report import fleet, history
from bench.report.language import languages
from bench.report.section import Study
from bench.storage.fleet_rows import read_results
from tests.support import factory, fleets
from tests.support.page import Page


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    frame = fleets.records(10, 4, faults={(1, 2): 0.9} | {(5, slot): 0.95 for slot in range(4)})
    return read_results([fleets.write(tmp_path_factory.mktemp("fleet") / "f.parquet", frame)])


def page(frame, **more):
    return report.render(frame, compare(frame), **more)


def test_the_section_names_the_cards_and_the_whole_node(rows):
    seen = Page(page(rows))
    assert "The cards of a fleet" in seen.headings
    assert "40 of 40 cards are compared with cards of the same model" in seen.visible
    assert "1 card is to be pulled" in seen.visible
    assert re.search(r"node n5: 4 cards are [45]\.\d% slower than the others", seen.visible)
    assert {"fleet-figure", "fleet-map-figure", "fleet-board"} <= set(seen.ids)


def test_bars_count_each_card_once_and_outliers_are_marked(rows):
    found = outliers.find(rows)
    figure = fleet.distribution(found)
    assert [view.name for view in figure.views] == ["slow", "thirsty", "hot"]
    slow = figure.views[0]
    assert sum(shape["y1"] for shape in slow.layout["shapes"]) == 40
    flagged = {f"{item.node}, {item.card}" for item in found.suspects if "slow" in item.kinds}
    assert set(slow.data[0]["hover"]) == flagged
    assert "n1, GPU-1-2" in flagged
    assert min(slow.data[0]["x"]) == pytest.approx(-10, abs=1)
    heat = fleet.heat_map(found).views[0]
    assert len(heat.layout["shapes"]) == 40
    assert heat.layout["yaxis"]["ticktext"][:2] == ["n1", "n5"]
    assert len(heat.data[0]["x"]) == len(flagged)


def test_of_many_nodes_the_worst_are_shown():
    fleet_ = fleets.Fleet(nodes=200, faults={(150, 3): fleets.Fault(rate=0.8), (20, 1): fleets.Fault(rate=0.9)})
    found = outliers.find(fleet_.frame())
    heat = fleet.heat_map(found)
    assert heat.views[0].layout["yaxis"]["ticktext"][:2] == ["n00150", "n00020"]
    assert len(heat.views[0].layout["yaxis"]["ticktext"]) == fleet.MOST_NODES
    assert "Shown are 40 of 200 nodes" in heat.note


def test_single_cards_and_small_groups_have_no_such_section(tmp_path):
    frame = read_results([factory.write(tmp_path / "a.csv", factory.run(factory.CARD_A, 3))])
    assert "The cards of a fleet" not in Page(page(frame)).headings
    small = read_results([fleets.write(tmp_path / "f.csv", fleets.records(1, 3))])
    assert {"node", "slot"} <= set(small.columns)
    assert fleet.SECTION.build(Study(small, compare(small), ())) is None


@pytest.mark.parametrize("name", languages())
def test_each_language_has_the_same_numbers(rows, name):
    seen, english = (Page(page(rows, language=language)) for language in (name, "en"))
    assert set(seen.ids) == set(english.ids)
    assert "GPU-1-2" in seen.visible
    assert ("thirsty" in seen.visible) == (name == "en")


def test_a_fleet_measured_on_two_days_is_no_history_of_a_card(rows, monkeypatch):
    frame = rows.copy()
    days = frame["started_utc"].astype(str)
    frame["started_utc"] = days.where(frame["slot"] > 1, days.str.replace("2026-01-01", "2026-01-02")).astype(
        "category"
    )
    model = str(frame["device_name"].iloc[0])
    assert len(history.card_runs(frame, model)) == 40
    monkeypatch.setattr(history, "MOST_RUNS", 39)
    assert history.card_runs(frame, model) == []
