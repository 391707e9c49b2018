"""The sentences of the page: compare's verdicts, and cautions only where they hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import report
from bench.model import Comparison
from bench.report import words
from bench.report.entries import collect, interval_text, task_label
from bench.report.section import Study
from tests.support.factory import CARD_A, CARD_B, run
from tests.support.page import Page, frame_of


def test_the_summary_gives_compares_verdict_and_its_interval(tmp_path):
    frame, result = frame_of(tmp_path, [*run(CARD_A), *run(CARD_B, seed=2)])
    entries = collect(frame, result)
    said = words.summary(Study(frame, result, entries), words.headline(entries))
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
    said = " ".join(words.summary(Study(frame, result, entries), words.headline(entries)))
    assert ": better" not in said
    assert "So Example" not in said


def test_a_sweep_does_not_hide_the_comparison_at_the_leading_limit(sample):
    frame, result, sidecars = sample
    text = Page(report.render(frame, result, sidecars)).visible
    assert "So Example GPU B is the better miner of the two" in text
    assert "cannot be compared with Example GPU A: refused: energy_scope package against gpu" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mode": "smoke"}, "measured in smoke mode"),
        ({"steady": False}, "began before rate, power and temperature were steady"),
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
    assert interval_text(item) == "12.50 MH/J [12.40, 12.60]"
    assert interval_text(replace(item, covers="within this run")) == "12.50 MH/J [12.40, 12.60]"
    assert interval_text(replace(item, covers="between runs")) == "12.50 MH/J [12.40, 12.60] between runs"
    assert (
        interval_text(Comparison({}, "power_mean_w", "W", 1, 1234.0, None, None)) == "1234 W (one window, no interval)"
    )


def test_a_task_is_named_by_what_it_is():
    key = dict.fromkeys(("product", "batch", "seq", "dtype", "shape"))
    assert task_label({**key, "workload": "sha256d", "phase": "scan"}) == "sha256d"
    full = {"workload": "transformer", "phase": "decode", "shape": "llama3-8b", "product": None}
    assert task_label({**full, "dtype": "fp8", "batch": 64, "seq": 2048}) == "decode llama3-8b fp8 b64 s2048"
