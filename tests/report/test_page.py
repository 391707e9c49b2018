"""The report page without a browser: what is on it, and that no text becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from bench import report
from bench.report import pick, rates, svg
from bench.report.entries import collect
from bench.report.table import MOST_ROWS
from tests.support.factory import CARD_A, CARD_B, gemm, invalid, run, sha256d
from tests.support.page import HOSTILE, Page, frame_of


def test_sections_stand_in_order_each_with_its_figure(html):
    seen = Page(html)
    assert seen.headings == [
        "The answer",
        "Cards",
        "Hashes and tokens for the same watts",
        "A power budget",
        "Two cards side by side",
        "Every workload on every card",
        "Over time",
        "Roofline",
        "Power sweep",
        "Money",
        "Hour by hour",
        "Verification and validity",
        "Settings of each run",
    ]
    drawn = ["pick", "rates-hash", "rates-flop", "over-time", "roofline", "frontier", "money", "tornado", "week"]
    drawn.append("load-duration")
    assert [id_ for id_ in seen.ids if id_.startswith("plot-")] == [f"plot-{name}" for name in drawn]


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
    assert seen.scripts == 2
    assert "default-src 'none'" in unescape(html.partition("<title>")[0])
    assert Page('<img src="https://x.example/a.png" onload="x()">').fetching, "the check itself sees a fetch"


def test_with_one_workload_only_the_page_says_what_is_missing(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, workloads=(sha256d,)))
    assert pick.draw(collect(frame, result)) is None
    text = Page(report.render(frame, result)).visible
    assert "No valid AI row is here" in text
    for said in ("A roofline (no row", "A power sweep (no card", "no sidecar, .samples.jsonl,"):
        assert said in text
    headings = Page(report.render(frame, result)).headings
    assert headings == [
        *("The answer", "Cards", "Hashes and tokens for the same watts", "A power budget"),
        *("Every workload on every card", "Verification and validity", "Settings of each run"),
    ]


def test_an_invalid_row_is_in_no_figure_and_in_the_list_with_its_reason(tmp_path):
    wild = invalid(sha256d(CARD_A, 9, factor=50.0), "the counter ran backwards")
    frame, result = frame_of(tmp_path, [*run(CARD_A), wild])
    (view,) = [view for view in rates.draw(collect(frame, result), "hash").views if view.name == "Rate"]
    assert max(view.data[0]["x"]) == pytest.approx(CARD_A.hash_per_s / 1e9, rel=0.05)
    text = Page(report.render(frame, result)).visible
    assert "the counter ran backwards" in text
    assert "1 of them is not valid" in text
    assert "✖ invalid" in text


def test_all_rows_invalid_still_make_a_page(tmp_path):
    frame, result = frame_of(tmp_path, [invalid(record) for record in run(CARD_A, 2)])
    seen = Page(report.render(frame, result))
    assert not [id_ for id_ in seen.ids if id_.startswith("plot-")]
    assert "No window is valid" in seen.visible
    assert "0 of 4 windows are verified and valid" in seen.visible


def test_one_window_has_no_whisker_and_says_so(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, 1))
    (view, *_) = pick.draw(collect(frame, result)).views
    assert view.data[0]["error_x"]["array"] == [0.0]
    assert "one window, no interval" in Page(report.render(frame, result)).visible


def test_a_warning_that_every_row_has_is_told_once(tmp_path):
    records = run(CARD_A, 2, warnings="no sensor here;also this")
    records[0] = replace(records[0], warnings="no sensor here;also this;only mine")
    frame, result = frame_of(tmp_path, records)
    html = report.render(frame, result)
    text = Page(html).visible
    assert text.count("no sensor here") == 1
    assert "In every window: no sensor here." in text
    assert text.count("only mine") == 1
    assert html.count('<tr class="flagged"') == 1
    records[1] = replace(records[1], warnings=None)
    frame, result = frame_of(tmp_path, records)
    assert report.render(frame, result).count("no sensor here") == 3


def test_hostile_names_are_text_everywhere(tmp_path):
    card = CARD_A.__class__(**{**CARD_A.__dict__, "name": HOSTILE})
    changes = {"host": HOSTILE, "warnings": HOSTILE, "implementation": HOSTILE, "run_id": HOSTILE, "driver": HOSTILE}
    records = [*run(card, 2, **changes), *run(CARD_B, 2), invalid(gemm(card, 3, shape=HOSTILE), HOSTILE)]
    frame, result = frame_of(tmp_path, records)
    html = report.render(frame, result, title=HOSTILE)
    seen = Page(html)
    assert seen.handlers == []
    assert seen.fetching == []
    assert seen.scripts == 2
    assert HOSTILE in seen.visible
    data = html.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in data
    # in the drawings too: as a name next to its mark, and in what a mark says when pointed at
    drawings = "".join(re.findall(r'<svg class="drawing".*?</g>\n</svg>', html, re.DOTALL))
    assert "&lt;script&gt;" in drawings
    assert "<script" not in drawings
    assert "<img" not in drawings


def test_the_escape_check_would_notice():
    assert Page(f"<p>{HOSTILE}</p>").handlers == ["onerror"]


def test_a_column_in_which_nobody_has_anything_is_left_out(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, 2, metered=False))
    assert "Work per joule" not in report.render(frame, result)
    frame, result = frame_of(tmp_path, [*run(CARD_A, 2, metered=False), *run(CARD_B, 2)])
    assert '<th scope="col">Work per joule</th>' in report.render(frame, result)


def test_a_long_file_of_rows_is_cut_with_a_word(tmp_path):
    records = [sha256d(CARD_A, repeat) for repeat in range(1, MOST_ROWS + 12)]
    records[-1] = invalid(records[-1], "the last one is wrong")
    frame, result = frame_of(tmp_path, records)
    html = report.render(frame, result)
    assert html.count('<tr class="quiet"') + html.count('<tr class="flagged"') == MOST_ROWS
    assert "the last one is wrong" in html
    assert "11 more rows are not shown here" in html


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_in_both_themes():
    style = (Path(report.__file__).parent / "page.css").read_text()
    blocks = dict(zip(("light", "dark"), re.findall(r":root[^{]*\{([^}]*)\}", style)[:2], strict=True))
    for theme, block in blocks.items():
        css = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", block))
        for text in ("ink", "soft", "accent", "warn"):
            for back in ("back", "card", "group"):
                assert contrast(css[text], css[back]) >= 4.5, (theme, text, back)
        for mark in ("published", "alarm", *(f"c{number}" for number in range(svg.PALETTE))):
            assert contrast(css[mark], css["card"]) >= 3.0, (theme, mark)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
