"""The figures as data: their values and intervals are compare's."""

from __future__ import annotations

import re

import pytest

from bench import report
from bench.analysis import published
from bench.report import pick, rates, roofline, sweep, timeline, words
from bench.report.entries import collect
from bench.report.figure import CUT, PUBLISHED
from bench.report.runs import runs
from tests.support.factory import CARD_A, CARD_B, gemm, run, sha256d
from tests.support.page import Page, frame_of
from tests.support.report_sample import dense, sweep_rows


def test_every_axis_has_a_title_with_its_unit(sample):
    frame, result, sidecars = sample
    entries = collect(frame, published.with_published(result, ["H100 SXM"]))
    drawn = [
        pick.draw(entries),
        *(rates.draw(entries, unit, result.published) for unit in ("hash", "FLOP")),
        timeline.draw(runs(frame, sidecars)),
        roofline.draw(entries),
        sweep.draw(entries),
    ]
    for figure in drawn:
        for view in figure.views:
            axes = {name: item for name, item in view.layout.items() if re.fullmatch(r"[xy]axis\d*", name)}
            assert {"xaxis", "yaxis"} <= set(axes)
            for item in axes.values():
                title = item["title"]["text"]
                assert re.search(r"\(.+\)", title) or title in ("Card", "Throttled"), title
            used = {trace.get("yaxis", "y") for trace in view.data}
            assert {f"yaxis{name[1:]}" for name in used} <= set(axes)


def test_cards_are_told_apart_without_colour(sample):
    frame, result, _ = sample
    entries = collect(frame, result)
    for figure in (pick.draw(entries), rates.draw(entries, "FLOP"), roofline.draw(entries)):
        for view in figure.views:
            looks = {}
            for trace in view.data:
                symbol = trace.get("marker", {}).get("symbol")
                shape = symbol[0] if isinstance(symbol, list) else symbol
                look = (trace["mode"], str(shape).removesuffix("-open"), trace.get("line", {}).get("dash"))
                assert looks.setdefault(look, trace["series"]) == trace["series"], figure.id
    dashes = [(t["line"]["dash"], t["yaxis"]) for t in sweep.draw(entries).views[0].data]
    assert len(dashes) == len(set(dashes))


def test_the_pick_shows_compares_values_and_intervals(tmp_path):
    frame, result = frame_of(tmp_path, [*run(CARD_A), *run(CARD_B, seed=2)])
    (view, *_) = pick.draw(collect(frame, result)).views
    found = {
        (item.key["device_name"], item.metric): item
        for item in result.comparisons
        if item.metric in ("work_per_j", "tokens_per_j")
    }
    hashes = {
        item.key["device_name"]: item
        for item in result.comparisons
        if item.metric == "work_per_j" and item.key["workload"] == "sha256d"
    }
    for trace, card in zip(sorted(view.data, key=lambda trace: trace["series"]), (CARD_A, CARD_B), strict=True):
        x, y = hashes[card.name], found[(card.name, "tokens_per_j")]
        assert trace["x"] == [pytest.approx(x.value / 1e6)]
        assert trace["y"] == [pytest.approx(y.value)]
        assert trace["error_x"]["array"] == [pytest.approx((x.high - x.value) / 1e6)]
        assert trace["error_x"]["arrayminus"] == [pytest.approx((x.value - x.low) / 1e6)]
        assert trace["error_y"]["array"] == [pytest.approx(y.high - y.value)]
    # the box around a point holds its whiskers and is as wide as the sensor's own 5%
    for box, trace in zip(view.layout["shapes"], view.data, strict=True):
        assert box["x0"] < trace["x"][0] * 0.951
        assert box["x1"] > trace["x"][0] * 1.049
    assert "MH/J" in view.layout["xaxis"]["title"]["text"]


def test_without_watts_the_pick_falls_back_to_rates_and_says_so(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, metered=False))
    figure = pick.draw(collect(frame, result))
    assert figure.title == "Hashes against tokens per second"
    assert "No power was read" in figure.note
    assert "GH/s" in figure.views[0].layout["xaxis"]["title"]["text"]
    text = Page(report.render(frame, result)).visible
    assert "No power was read for Example GPU A" in text
    assert "MH/J" not in text


def test_other_hashes_can_be_chosen_and_sha256d_leads(tmp_path):
    def scrypt(card, repeat, **changes):
        return sha256d(card, repeat, workload="scrypt", **changes)

    frame, result = frame_of(tmp_path, run(CARD_A, 2, workloads=(scrypt, sha256d, gemm)))
    entries = collect(frame, result)
    assert words.headline(entries).mining == "sha256d"
    names = [view.name for view in pick.draw(entries).views]
    ai = "gemm llama3-8b bf16 b1 s8192"
    assert names[:2] == [ai, f"{ai}, scrypt"]


def test_an_axis_holds_the_whiskers_and_says_where_it_does_not(tmp_path):
    near = [sha256d(CARD_A, 1), sha256d(CARD_A, 2, factor=1.05), gemm(CARD_A, 1), gemm(CARD_A, 2, factor=1.05)]
    frame, result = frame_of(tmp_path, near)
    figure = pick.draw(collect(frame, result))
    view = figure.views[0]
    trace = view.data[0]
    assert trace["x"][0] + trace["error_x"]["array"][0] <= view.layout["xaxis"]["range"][1]
    assert trace["y"][0] + trace["error_y"]["array"][0] <= view.layout["yaxis"]["range"][1]
    assert not figure.note.endswith(CUT)
    wild = [sha256d(CARD_A, 1), sha256d(CARD_A, 2, factor=2.0), gemm(CARD_A, 1), gemm(CARD_A, 2)]
    frame, result = frame_of(tmp_path, wild)
    for figure in (pick.draw(collect(frame, result)), rates.draw(collect(frame, result), "hash")):
        high = figure.views[0].layout["xaxis"]["range"][1]
        assert high <= 4.2 * figure.views[0].data[0]["x"][0]
        assert figure.note.endswith(CUT)


def test_published_figures_are_grey_labelled_sourced_and_in_no_statistic(sample):
    frame, result, _ = sample
    laid = published.with_published(result, ["H100 SXM"])
    mine, theirs = (rates.draw(collect(frame, item), "FLOP", item.published) for item in (result, laid))

    def is_rate_of_gemm(view):
        return view.name == "Rate" and view.group == "gemm llama3-8b bf16 b1 s8192"

    (before,), (after,) = (list(filter(is_rate_of_gemm, figure.views)) for figure in (mine, theirs))
    grey = [trace for trace in after.data if trace["series"] == PUBLISHED]
    assert [trace["x"] for trace in after.data if trace["series"] != PUBLISHED] == [trace["x"] for trace in before.data]
    assert {trace["name"] for trace in grey} == {"published: H100 SXM, measured", "published: H100 SXM, peak"}
    assert all("ml-engineering" in text for trace in grey for text in trace["hover"])
    # only where the whole gemm set of the same type is drawn, and only as a rate
    others = [view for view in theirs.views if not is_rate_of_gemm(view)]
    assert all(trace["series"] != PUBLISHED for view in others for trace in view.data)
    text = Page(report.render(frame, laid)).visible
    assert "not measured here, in no statistic" in text


def test_the_roof_is_the_rows_peak_and_bandwidth(sample):
    frame, result, _ = sample
    (view,) = roofline.draw(collect(frame, result)).views
    roof = next(trace for trace in view.data if trace["mode"] == "lines" and "Example GPU A" in trace["name"])
    xs, ys = roof["x"], roof["y"]
    assert ys[1] == ys[2] == pytest.approx(989)
    assert xs[1] == pytest.approx(989e12 / 3.35e12)
    assert ys[0] / xs[0] == pytest.approx(3.35)  # TFLOP/s per FLOP/byte: the slope is the bandwidth
    for trace in view.data:
        if trace["mode"] == "markers":
            assert all(y < 989 for y in trace["y"])


def test_published_roofs_are_grey_and_hold_no_point(sample):
    frame, result, _ = sample
    entries = collect(frame, result)
    plain = roofline.draw(entries)
    laid = roofline.draw(entries, published.with_published(result, ["H100 SXM"]).published)
    grey = [trace for trace in laid.views[0].data if trace["series"] == PUBLISHED]
    assert [trace["mode"] for trace in grey] == ["lines"]
    assert grey[0]["name"] == "published: H100 SXM: roof, 989 TFLOP/s, 3350 GB/s"
    assert grey[0]["x"][1] == pytest.approx(989e12 / 3.35e12)
    mine = [trace for trace in laid.views[0].data if trace["mode"] == "markers"]
    assert mine == [trace for trace in plain.views[0].data if trace["mode"] == "markers"]
    assert "Grey roofs" in laid.note
    assert "Grey roofs" not in plain.note


def test_a_point_without_a_known_peak_stands_without_a_roof(tmp_path):
    records = [dense(CARD_A, n, peak_per_s=None, peak_source=None) for n in (1, 2)]
    frame, result = frame_of(tmp_path, records)
    figure = roofline.draw(collect(frame, result))
    assert [trace["mode"] for trace in figure.views[0].data] == ["markers"]
    assert "No peak is known for Example GPU A" in figure.note


def test_the_frontier_marks_the_limit_with_the_most_work_per_joule(tmp_path):
    frame, result = frame_of(tmp_path, sweep_rows(CARD_A, (350.0, 500.0, 650.0)))
    (view,) = sweep.draw(collect(frame, result)).views
    work = [trace for trace in view.data if trace["yaxis"] == "y2"]
    rate = [trace for trace in view.data if trace["yaxis"] == "y"]
    assert len(work) == len(rate) == 2
    for trace in work:
        assert trace["marker"]["symbol"].index("star") == trace["y"].index(100.0) == 0
        assert trace["x"] == sorted(trace["x"])
    for trace in rate:
        assert max(trace["y"]) == trace["y"][-1] == 100.0
        assert "star" not in trace["marker"]["symbol"]


def test_one_limit_makes_no_frontier(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A))
    assert sweep.draw(collect(frame, result)) is None
