"""The money section without a browser: its figures are those of bench.analysis.economics."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest

from bench import report
from bench.analysis import economics
from bench.report import money
from tests.support.factory import CARD_A, run
from tests.support.page import HOSTILE, Page, frame_of
from tests.support.report_sample import outlook


def test_money_stands_on_the_page_with_the_asic_and_the_sentence(sample):
    frame, result, _ = sample
    found = outlook(frame)
    html = report.render(frame, result, outlook=found)
    seen = Page(html)
    assert "Money" in seen.headings
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
    assert "Money (no price file was given)" in seen.visible
    assert "Money" not in seen.headings
    assert "money" not in json.loads(seen.data)


def test_without_watts_there_are_no_sliders_and_the_reason_stands_there(tmp_path):
    frame, result = frame_of(tmp_path, run(CARD_A, metered=False))
    seen = Page(report.render(frame, result, outlook=outlook(frame)))
    assert "No card has all that money needs" in seen.visible
    assert "no watts were read" in seen.visible.lower()
    assert "money-rent" not in seen.ids
    assert "plot-money" not in seen.ids


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
        low, high = money.limits(field, found, money.starts(found))
        values = [getattr(item.inputs, field) for item in money.starts(found)]
        assert all(low <= value <= high for value in values if not math.isnan(value))
    assert money.limits("utilisation", found, money.starts(found)) == (0.01, 1.0)
    assert (
        money.limits("electricity", found, money.starts(found))[1] >= 2 * found.prices.items["electricity"].range.high
    )


def test_a_hostile_price_file_is_text(sample):
    frame, result, _ = sample
    plain = outlook(frame)
    items = {name: replace(price, source=HOSTILE) for name, price in plain.prices.items.items()}
    prices = replace(plain.prices, currency=HOSTILE, items=items, asics=(replace(plain.prices.asic, name=HOSTILE),))
    html = report.render(frame, result, outlook=economics.evaluate(economics.cards(frame), prices))
    seen = Page(html)
    assert seen.handlers == []
    assert seen.fetching == []
    assert seen.scripts == 2
    assert "<" not in seen.data
    assert HOSTILE in seen.visible
