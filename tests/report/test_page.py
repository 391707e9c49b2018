"""The report page without a browser: what stands on it, that it is compare's figures, and that no text is markup."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench import report
from bench.analysis import compare, economics, published
from bench.model import BenchError, Comparison, Sample
from bench.report import figures, markup, money, page, timeline, words
from bench.report.entries import collect, interval_text, scale, task_label
from bench.storage import store
from tests.support.factory import CARD_A, CARD_B, gemm, invalid, run, sha256d, write
from tests.support.report_sample import dense, outlook, study, sweep

HOSTILE = '<script>window.pwned=1</script>"><img src=x onerror="window.pwned=1">&amp;<b>x</b>'


PLOTLY = report._plotly


@pytest.fixture(scope="module", autouse=True)
def _short_plotly():
    """Plotly's five megabytes are the same on every page; reading them forty times would only cost time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_plotly", lambda: "/* plotly */")
        yield


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    paths = study(tmp_path_factory.mktemp("study"))
    frame = store.read(paths)
    return frame, compare.compare(frame), [store.read_sidecar(store.sidecar_path(path)) for path in paths]


@pytest.fixture(scope="module")
def html(sample):
    frame, result, sidecars = sample
    return report.render(frame, published.lay(result, ["H100 SXM"]), sidecars, outlook=outlook(frame))


def frame_of(tmp_path: Path, records) -> tuple:
    frame = store.read([write(tmp_path / "x.csv", records)])
    return frame, compare.compare(frame)


class Page(HTMLParser):
    """Elements, ids, text outside scripts, and everything in the page that could run or fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.scripts = 0
        self.fetching: list[str] = []
        self.handlers: list[str] = []
        self.headings: list[str] = []
        self.visible = ""
        self._inside: list[str] = []
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._inside.append(tag)
        values = dict(attrs)
        self.scripts += tag == "script"
        if "id" in values:
            self.ids.append(values["id"])
        self.fetching += [
            f"{tag} {name}={value}"
            for name, value in attrs
            if name in ("src", "href", "action", "srcset", "data") and not (value or "").startswith(("#", "data:"))
        ]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self._is_data = values.get("id") == "data"
        if tag in ("meta", "link", "input", "br"):
            self._inside.pop()

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        inside = self._inside[-1] if self._inside else ""
        if inside == "script":
            self.data += data if self._is_data else ""
        elif inside != "style":
            self.visible += data
            if inside == "h2":
                self.headings.append(data)


# ---------------------------------------------------------------------------------------------------------------------
# the whole page


def test_sections_stand_in_order_each_with_its_figure(html):
    seen = Page(html)
    assert seen.headings == [
        "Hashes and tokens for the same watts",
        "Every workload on every card",
        "Over time",
        "Roofline",
        "Power sweep",
        "Money",
        "Verification and validity",
        "Setting of each run",
    ]
    data = json.loads(seen.data)
    assert list(data["figures"]) == ["pick", "rates-hash", "rates-flop", "over-time", "roofline", "frontier", "money"]
    assert {f"plot-{name}" for name in data["figures"]} <= set(seen.ids)


def test_an_id_is_given_once_and_every_reference_has_its_target(html):
    seen = Page(html)
    assert len(seen.ids) == len(set(seen.ids))
    for attribute in ("aria-labelledby", "aria-describedby", "for"):
        assert set(re.findall(rf' {attribute}="([^"]+)"', html)) <= set(seen.ids), attribute
    assert {link[1:] for link in re.findall(r'href="(#[a-z]+)"', html)} <= set(seen.ids)


def test_nothing_on_the_page_fetches_and_a_policy_forbids_it(html):
    seen = Page(html)
    assert seen.fetching == []
    assert seen.handlers == []
    assert seen.scripts == 3
    assert "default-src 'none'" in unescape(html.partition("<title>")[0])
    assert Page('<img src="https://x.example/a.png" onload="x()">').fetching, "the check itself sees a fetch"


def test_every_axis_has_a_title_with_its_unit(sample):
    frame, result, sidecars = sample
    entries = collect(frame, published.lay(result, ["H100 SXM"]))
    drawn = [
        figures.pick(entries),
        *(figures.rates(entries, unit, result.published) for unit in ("hash", "FLOP")),
        timeline.over_time(timeline.runs(frame, sidecars)),
        figures.roofline(entries),
        figures.frontier(entries),
    ]
    for figure in drawn:
        for view in figure.views:
            axes = {name: item for name, item in view.layout.items() if re.fullmatch(r"[xy]axis\d*", name)}
            assert {"xaxis", "yaxis"} <= set(axes)
            for item in axes.values():
                title = item["title"]["text"]
                assert re.search(r"\(.+\)", title) or title in ("Workload", "Held back"), title
            used = {trace.get("yaxis", "y") for trace in view.data}
            assert {f"yaxis{name[1:]}" for name in used} <= set(axes)


def test_cards_are_told_apart_without_colour(sample):
    frame, result, _ = sample
    entries = collect(frame, result)
    for figure in (figures.pick(entries), figures.rates(entries, "FLOP"), figures.roofline(entries)):
        for view in figure.views:
            looks = {}
            for trace in view.data:
                symbol = trace.get("marker", {}).get("symbol")
                shape = symbol[0] if isinstance(symbol, list) else symbol
                look = (trace["mode"], str(shape).removesuffix("-open"), trace.get("line", {}).get("dash"))
                assert looks.setdefault(look, trace["series"]) == trace["series"], figure.id
    dashes = [(t["line"]["dash"], t["yaxis"]) for t in figures.frontier(entries).views[0].data]
    assert len(dashes) == len(set(dashes))


def test_plotly_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(BenchError, match="Plotly") as caught:
        PLOTLY()
    assert "bitwatt[report]" in caught.value.fix


# ---------------------------------------------------------------------------------------------------------------------
# figures are compare's


def test_the_pick_shows_compares_values_and_intervals(tmp_path):
    frame, result = frame_of(tmp_path, [*run(CARD_A), *run(CARD_B, seed=2)])
    (view,) = figures.pick(collect(frame, result)).views
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
    for trace, card in zip(view.data, (CARD_A, CARD_B), strict=True):
        x, y = hashes[card.name], found[(card.name, "tokens_per_j")]
        assert trace["x"] == [pytest.approx(x.value / 1e6)]
        assert trace["y"] == [pytest.approx(y.value)]
        assert trace["error_x"]["array"] == [pytest.approx((x.high - x.value) / 1e6)]
        assert trace["error_x"]["arrayminus"] == [pytest.approx((x.value - x.low) / 1e6)]
        assert trace["error_y"]["array"] == [pytest.approx(y.high - y.value)]
    # the box around a point holds its whiskers and is as wide as the sensor's own 5%
    box = view.layout["shapes"][0]
    assert box["x0"] < view.data[0]["x"][0] * 0.951
    assert box["x1"] > view.data[0]["x"][0] * 1.049
    assert "MH/J" in view.layout["xaxis"]["title"]["text"]


def test_without_watts_the_pick_falls_back_to_rates_and_says_so(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, metered=False))
    figure = figures.pick(collect(frame, result))
    assert figure.title == "Hashes against tokens per second"
    assert "No watts were read" in figure.note
    assert "GH/s" in figure.views[0].layout["xaxis"]["title"]["text"]
    text = Page(report.render(frame, result)).visible
    assert "No watts were read for Example GPU A" in text
    assert "MH/J" not in text


def test_with_one_workload_only_the_page_says_what_is_missing(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, workloads=(sha256d,)))
    assert figures.pick(collect(frame, result)) is None
    text = Page(report.render(frame, result)).visible
    assert "No valid AI row is here" in text
    assert "no roofline" in text
    assert "no frontier" in text
    assert "sidecars" in text


def test_an_invalid_row_is_in_no_figure_and_in_the_list_with_its_reason(tmp_path):
    wild = invalid(sha256d(CARD_A, 9, factor=50.0), "the counter ran backwards")
    frame, result = frame_of(tmp_path, [*run(CARD_A), wild])
    (view, *_) = figures.rates(collect(frame, result), "hash").views
    assert max(view.data[0]["x"]) == pytest.approx(CARD_A.hash_per_s / 1e9, rel=0.05)
    text = Page(report.render(frame, result)).visible
    assert "the counter ran backwards" in text
    assert "1 of them not valid" in text
    assert "✖ invalid" in text


def test_all_rows_invalid_still_make_a_page(tmp_path):
    frame, result = frame_of(tmp_path, [invalid(record) for record in run(CARD_A, 2)])
    seen = Page(report.render(frame, result))
    assert json.loads(seen.data)["figures"] == {}
    assert "No valid window is here" in seen.visible
    assert "0 of 4 windows are verified and valid" in seen.visible


def test_other_hashes_can_be_chosen_and_sha256d_leads(tmp_path):
    def scrypt(card, repeat, **changes):
        return sha256d(card, repeat, workload="scrypt", **changes)

    frame, result = frame_of(tmp_path, run(CARD_A, 2, workloads=(scrypt, sha256d, gemm)))
    entries = collect(frame, result)
    assert words.headline(entries).mining == "sha256d"
    names = [view.name for view in figures.pick(entries).views]
    ai = "gemm llama3-8b bf16, batch 1, 8192 tokens"
    assert names == [ai, f"scrypt against {ai}"]


def test_one_window_has_no_whisker_and_says_so(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, 1))
    (view,) = figures.pick(collect(frame, result)).views
    assert view.data[0]["error_x"]["array"] == [0.0]
    assert "one window, no interval" in Page(report.render(frame, result)).visible


def test_an_axis_holds_the_whiskers_and_says_where_it_does_not(tmp_path):
    near = [sha256d(CARD_A, 1), sha256d(CARD_A, 2, factor=1.05), gemm(CARD_A, 1), gemm(CARD_A, 2, factor=1.05)]
    frame, result = frame_of(tmp_path, near)
    figure = figures.pick(collect(frame, result))
    (view,) = figure.views
    trace = view.data[0]
    assert trace["x"][0] + trace["error_x"]["array"][0] <= view.layout["xaxis"]["range"][1]
    assert trace["y"][0] + trace["error_y"]["array"][0] <= view.layout["yaxis"]["range"][1]
    assert not figure.note.endswith(figures.CUT)
    wild = [sha256d(CARD_A, 1), sha256d(CARD_A, 2, factor=2.0), gemm(CARD_A, 1), gemm(CARD_A, 2)]
    frame, result = frame_of(tmp_path, wild)
    for figure in (figures.pick(collect(frame, result)), figures.rates(collect(frame, result), "hash")):
        high = figure.views[0].layout["xaxis"]["range"][1]
        assert high <= 4.2 * figure.views[0].data[0]["x"][0]
        assert figure.note.endswith(figures.CUT)


def test_a_warning_that_every_row_has_is_told_once(tmp_path):
    records = run(CARD_A, 2, warnings="no sensor here;also this")
    records[0] = replace(records[0], warnings="no sensor here;also this;only mine")
    frame, result = frame_of(tmp_path, records)
    html = report.render(frame, result)
    text = Page(html).visible
    assert text.count("no sensor here") == 1
    assert "In every window: no sensor here." in text
    assert text.count("only mine") == 1
    assert html.count('<tr class="spoken"') == 1
    records[1] = replace(records[1], warnings=None)
    frame, result = frame_of(tmp_path, records)
    assert report.render(frame, result).count("no sensor here") == 3


def test_published_figures_are_grey_labelled_sourced_and_in_no_statistic(sample):
    frame, result, _ = sample
    laid = published.lay(result, ["H100 SXM"])
    mine, theirs = (figures.rates(collect(frame, item), "FLOP", item.published) for item in (result, laid))
    plain = [trace for trace in theirs.views[0].data if trace["series"] != figures.PUBLISHED]
    grey = [trace for trace in theirs.views[0].data if trace["series"] == figures.PUBLISHED]
    assert plain == mine.views[0].data
    assert {trace["name"] for trace in grey} == {"published: H100 SXM, measured", "published: H100 SXM, peak"}
    assert all("ml-engineering" in text for trace in grey for text in trace["text"])
    # beside gemm of the same type, never beside decode
    ticks = theirs.views[0].layout["yaxis"]
    rows = {ticks["ticktext"][ticks["tickvals"].index(y)] for trace in grey for y in trace["y"]}
    assert rows == {"gemm llama3-8b bf16<br>batch 1, 8192 tokens"}
    assert all(trace["series"] != figures.PUBLISHED for view in theirs.views[1:] for trace in view.data)
    text = Page(report.render(frame, laid)).visible
    assert "not measured here, in no statistic" in text


def test_the_roof_is_the_rows_peak_and_bandwidth(sample):
    frame, result, _ = sample
    (view,) = figures.roofline(collect(frame, result)).views
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
    plain = figures.roofline(entries)
    laid = figures.roofline(entries, published.lay(result, ["H100 SXM"]).published)
    grey = [trace for trace in laid.views[0].data if trace["series"] == figures.PUBLISHED]
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
    figure = figures.roofline(collect(frame, result))
    assert [trace["mode"] for trace in figure.views[0].data] == ["markers"]
    assert "No peak is known for Example GPU A" in figure.note


def test_the_frontier_marks_the_limit_with_the_most_work_per_joule(tmp_path):
    frame, result = frame_of(tmp_path, sweep(CARD_A, (350.0, 500.0, 650.0)))
    (view,) = figures.frontier(collect(frame, result)).views
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
    assert figures.frontier(collect(frame, result)) is None


# ---------------------------------------------------------------------------------------------------------------------
# words


def test_the_summary_gives_compares_verdict_and_its_interval(tmp_path):
    frame, result = frame_of(tmp_path, [*run(CARD_A), *run(CARD_B, seed=2)])
    entries = collect(frame, result)
    said = words.summary(entries, result, frame, words.headline(entries))
    item = next(
        item
        for item in result.comparisons
        if item.key["device_name"] == CARD_B.name and item.metric == "work_per_j" and item.key["workload"] == "sha256d"
    )
    assert item.verdict == "better"
    line = next(text for text in said if text.startswith("In hashes per joule"))
    assert f"{item.ratio:.2f} times what Example GPU A does ({item.ratio_low:.2f} to {item.ratio_high:.2f})" in line
    assert line.endswith("better.")
    assert "So Example GPU B is the better miner of the two and Example GPU A the better at AI." in said


def test_equal_cards_are_not_called_better(tmp_path):
    twin = CARD_A.__class__(**{**CARD_A.__dict__, "name": "Example GPU T", "uuid": "GPU-t"})
    frame, result = frame_of(tmp_path, [*run(CARD_A), *run(twin, seed=2)])
    entries = collect(frame, result)
    said = " ".join(words.summary(entries, result, frame, words.headline(entries)))
    assert ": better" not in said
    assert "So Example" not in said


def test_a_sweep_does_not_hide_the_comparison_at_the_leading_limit(sample):
    frame, result, sidecars = sample
    text = Page(report.render(frame, result, sidecars)).visible
    assert "So Example GPU B is the better miner of the two" in text
    assert "cannot be set against Example GPU A: refused: energy_scope package against gpu" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mode": "smoke"}, "Some windows are smoke ones"),
        ({"steady": False}, "began before rate, power and temperature stood still"),
        ({"dirty": True}, "uncommitted changes"),
        ({"native": False}, "Emulated by the device"),
        ({"implementation": "torch-portable"}, "portable loop"),
        ({"energy_method": "assumed"}, "assumed, not measured"),
    ],
)
def test_cautions_stand_in_the_summary_only_when_they_hold(tmp_path, change, sentence):
    frame, result = frame_of(tmp_path, run(CARD_A, 2))
    assert sentence not in Page(report.render(frame, result)).visible
    frame, result = frame_of(tmp_path, run(CARD_A, 2, **change))
    assert sentence in Page(report.render(frame, result)).visible


def test_figures_are_written_with_prefix_and_interval():
    item = Comparison({}, "work_per_j", "hash/J", 5, 12.5e6, 12.4e6, 12.6e6)
    assert interval_text(item) == "12.5 MH/J (12.4 to 12.6)"
    assert (
        interval_text(Comparison({}, "power_mean_w", "W", 1, 1234.0, None, None)) == "1234 W (one window, no interval)"
    )
    assert scale([0.5, 900.0], "hash/s") == (1.0, "H/s")
    assert scale([2.5e12], "FLOP/s") == (1e12, "TFLOP/s")
    assert scale([8000.0], "token/s") == (1.0, "token/s")


def test_a_task_is_named_by_what_it_is():
    key = dict.fromkeys(("product", "batch", "seq", "dtype", "shape"))
    assert task_label({**key, "workload": "sha256d", "phase": "scan"}) == "sha256d"
    full = {"workload": "transformer", "phase": "decode", "shape": "llama3-8b", "product": None}
    assert (
        task_label({**full, "dtype": "fp8", "batch": 64, "seq": 2048}) == "decode llama3-8b fp8, batch 64, 2048 tokens"
    )


# ---------------------------------------------------------------------------------------------------------------------
# over time


def test_windows_are_shaded_numbered_and_throttling_is_marked(sample):
    frame, _, sidecars = sample
    found = timeline.runs(frame, sidecars)
    view = timeline.over_time(found).views[0]
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
    run_a = timeline.runs(frame, sidecars)[0]
    rows = frame[frame["file"].astype(str).str.endswith("example-a.csv")]
    assert [item.row + 1 for item in run_a.stretches] == rows["line"].tolist()
    assert [item.rate_per_s for item in run_a.stretches] == rows["rate_per_s"].tolist()
    assert [item.valid for item in run_a.stretches] == rows["valid"].tolist()


def test_a_sidecar_of_other_rows_is_left_out(sample):
    frame, _, sidecars = sample
    others = frame[frame["file"].astype(str).str.endswith("example-b.csv")]
    assert [run.name for run in timeline.runs(others, sidecars) if run.stretches] == ["example-b.csv"]


def test_thinning_keeps_the_extremes_and_the_gaps():
    points = [(float(n), 100.0) for n in range(50_000)]
    points[31_337], points[12_345], points[40_000] = (31_337.0, 900.0), (12_345.0, 3.0), (40_000.0, None)
    thin = timeline._thinned(points)
    assert len(thin) <= timeline.MOST_POINTS + 1
    assert {900.0, 3.0, None} <= {value for _, value in thin}
    assert thin == sorted(thin, key=lambda point: point[0])


def test_watts_come_from_the_counter_where_no_power_is_read():
    samples = tuple((n / 10, Sample(n * 100_000_000, counter_j=12.5 * n)) for n in range(40))
    run_ = timeline.Run("x", (), ((0.0, 4.0),), samples)
    watts = [value for _, value in timeline._counter_watts(run_)]
    assert watts == [pytest.approx(125.0)] * len(watts)
    assert timeline._panels(run_)[0][0] == "Power, from the counter (W)"


# ---------------------------------------------------------------------------------------------------------------------
# no text is markup


def test_hostile_names_are_text_everywhere(tmp_path):
    card = CARD_A.__class__(**{**CARD_A.__dict__, "name": HOSTILE})
    changes = {"host": HOSTILE, "warnings": HOSTILE, "implementation": HOSTILE, "run_id": HOSTILE, "driver": HOSTILE}
    records = [*run(card, 2, **changes), *run(CARD_B, 2), invalid(gemm(card, 3, shape=HOSTILE), HOSTILE)]
    frame, result = frame_of(tmp_path, records)
    html = report.render(frame, result, title=HOSTILE)
    seen = Page(html)
    assert seen.handlers == []
    assert seen.fetching == []
    assert seen.scripts == 3
    assert HOSTILE in seen.visible
    data = html.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in data
    # Plotly reads a dialect of HTML in its labels: what reaches it is escaped once more
    views = [view for item in json.loads(data)["figures"].values() for view in item["views"]]
    texts = json.dumps([(view["data"], view["layout"]) for view in views])
    assert "&lt;script&gt;" in texts
    assert "<script" not in texts
    assert "<img" not in texts


def test_the_escape_check_would_notice():
    assert Page(f"<p>{HOSTILE}</p>").handlers == ["onerror"]


def test_markup_escapes_all_but_markup():
    assert markup.el("td", "<b>&'\"", title='"x"') == '<td title="&quot;x&quot;">&lt;b&gt;&amp;&#x27;&quot;</td>'
    assert markup.el("td", markup.el("b", "x"), hidden=False, open=True) == "<td open><b>x</b></td>"
    assert markup.script_json({"a": "</script><!--\u2028"}) == '{"a":"\\u003c/script\\u003e\\u003c!--\\u2028"}'
    assert "</script" not in markup.script_text("var a = '</script>';")
    with pytest.raises(ValueError, match="JSON"):
        markup.script_json(float("nan"))


def test_a_column_in_which_nobody_has_anything_is_left_out(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, 2, metered=False))
    assert "Work per joule" not in report.render(frame, result)
    frame, result = frame_of(tmp_path, [*run(CARD_A, 2, metered=False), *run(CARD_B, 2)])
    assert '<th scope="col">Work per joule</th>' in report.render(frame, result)


def test_a_long_file_of_rows_is_cut_with_a_word(tmp_path):
    records = [sha256d(CARD_A, repeat) for repeat in range(1, page.MOST_ROWS + 12)]
    records[-1] = invalid(records[-1], "the last one is wrong")
    frame, result = frame_of(tmp_path, records)
    html = report.render(frame, result)
    assert html.count('<tr class="quiet"') + html.count('<tr class="spoken"') == page.MOST_ROWS
    assert "the last one is wrong" in html
    assert "11 more rows are not shown here" in html


# ---------------------------------------------------------------------------------------------------------------------
# pictures


def test_pictures_without_a_browser_say_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BITWATT_BROWSER", raising=False)
    with pytest.raises(BenchError, match="Chromium") as caught:
        report.png(tmp_path / "page.html", tmp_path)
    assert "BITWATT_BROWSER" in caught.value.fix


def test_a_browser_that_draws_nothing_is_an_error(tmp_path):
    page_file = tmp_path / "page.html"
    page_file.write_text('<div data-figure="pick" style="height:500px"></div>')
    mute = tmp_path / "browser"
    mute.write_text("#!/bin/sh\necho it broke >&2\n")
    mute.chmod(0o755)
    with pytest.raises(BenchError, match="drew no picture of pick \\(it broke\\)"):
        report.png(page_file, tmp_path / "out", browser=str(mute))
    page_file.write_text("<p>no plot</p>")
    with pytest.raises(BenchError, match="holds no plot"):
        report.png(page_file, tmp_path / "out", browser=str(mute))


# ---------------------------------------------------------------------------------------------------------------------
# money


def test_money_stands_on_the_page_with_the_asic_and_the_sentence(sample):
    frame, result, _ = sample
    found = outlook(frame)
    html = report.render(frame, result, outlook=found)
    seen = Page(html)
    assert seen.headings[5] == "Money"
    assert economics.SENTENCE in seen.visible
    assert "S21-class ASIC, for scale" in seen.visible
    assert "ranges overlap" in seen.visible
    assert "The price file has no rent for Example CPU C" in seen.visible
    data = json.loads(seen.data)
    assert [card["name"] for card in data["money"]["cards"]] == ["Example GPU A", "Example GPU B", "Example CPU C"]
    # what the script starts from is what economics holds, and every cell is filled before the script runs
    likely = found.cards[0].likely
    assert data["money"]["cards"][0]["inputs"] == {
        name: pytest.approx(float(getattr(likely, name))) for name in likely.__dataclass_fields__
    }
    cells = dict(re.findall(r'data-out="([a-z_.]+)" data-value="([^"]*)"', html))
    assert float(cells["ai.net_per_h"]) == economics.ai_net(likely)
    assert float(cells["mining.net_per_year"]) == economics.mining_net(likely) * 8760
    assert float(cells["break_even.rent"]) == economics.break_even("rent", likely)


def test_without_prices_the_page_says_so(sample):
    frame, result, _ = sample
    seen = Page(report.render(frame, result))
    assert "No price file was given" in seen.visible
    assert "money" not in json.loads(seen.data)


def test_without_watts_there_are_no_sliders_and_the_reason_stands_there(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, metered=False))
    seen = Page(report.render(frame, result, outlook=outlook(frame)))
    assert "No card has all that money needs" in seen.visible
    assert "no watts were read" in seen.visible.lower()
    assert "money-rent" not in seen.ids
    assert "money" not in json.loads(seen.data)["figures"]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (1234567.891, 2, "1,234,567.89"),
        (-0.5, 4, "−0.5000"),
        (1.04e-5, 4, "0.0000104"),
        (-0.0, 4, "0.0000"),
        (-1e-12, 4, "0.0000000"),
        (None, 2, "–"),
        (float("inf"), 2, "–"),
        (5.4, 0, "5.400"),
        (331.4, 0, "331"),
    ],
)
def test_money_is_written_so_that_a_small_figure_is_not_lost(value, decimals, text):
    assert money.written(value, decimals) == text


def test_a_slider_reaches_beyond_the_price_files_highest(sample):
    found = outlook(sample[0])
    for field in money.SLIDERS:
        low, high = money.limits(field, found)
        assert all(low <= getattr(item.inputs, field) <= high for item in money.starts(found))
    assert money.limits("utilisation", found) == (0.01, 1.0)
    assert money.limits("electricity", found)[1] >= 2 * found.prices.items["electricity"].range.high


def test_a_hostile_price_file_is_text(sample):
    frame, result, _ = sample
    plain = outlook(frame)
    items = {name: replace(price, source=HOSTILE) for name, price in plain.prices.items.items()}
    prices = replace(plain.prices, currency=HOSTILE, items=items, asic=replace(plain.prices.asic, name=HOSTILE))
    html = report.render(frame, result, outlook=economics.evaluate(economics.cards(frame), prices))
    seen = Page(html)
    assert seen.handlers == []
    assert seen.fetching == []
    assert seen.scripts == 3
    views = json.dumps(json.loads(seen.data)["figures"])
    assert "<script" not in views
    assert HOSTILE in seen.visible


# ---------------------------------------------------------------------------------------------------------------------
# colours


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_in_both_themes():
    folder = Path(report.__file__).parent
    script, style = ((folder / name).read_text() for name in ("page.js", "page.css"))
    blocks = dict(zip(("light", "dark"), re.findall(r":root[^{]*\{([^}]*)\}", style)[:2], strict=True))
    for theme, block in blocks.items():
        css = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
        for text in ("ink", "soft", "accent", "warn"):
            for back in ("back", "card", "group"):
                assert contrast(css[text], css[back]) >= 4.5, (theme, text, back)
        for line in re.findall(rf"{theme}: (.*)", script)[:2]:
            assert css["card"] in line or line.startswith("["), "the script's card colour is the style's"
            for colour in set(re.findall(r"#[0-9a-f]{6}", re.sub(r"(grid|card): \"[^\"]*\"", "", line))):
                assert contrast(colour, css["card"]) >= 3.0, (theme, colour)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
