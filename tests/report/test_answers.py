"""The first screen: who leads, by how much, and what is said where nobody does."""

from __future__ import annotations

from dataclasses import replace

from bench.analysis import compare
from bench.report.answers import answers
from bench.report.entries import collect, interval_text
from tests.support.factory import CARD_A, CARD_B, run, sha256d
from tests.support.page import frame_of
from tests.support.report_sample import outlook


def found(tmp_path, records, *, money: bool = False):
    frame, result = frame_of(tmp_path, records)
    entries = collect(frame, result)
    return entries, answers(frame, entries, outlook(frame) if money else None)


def test_the_best_of_two_is_named_with_its_interval_and_the_runner_up(tmp_path):
    entries, (mining, ai) = found(tmp_path, [*run(CARD_A), *run(CARD_B, seed=2)])
    best = next(entry for entry in entries if entry.card == CARD_B.name and entry.task == "sha256d")
    assert (mining.question, mining.answer) == ("Best miner (sha256d)", CARD_B.name)
    assert mining.figure == interval_text(best.metrics["work_per_j"])
    assert any(note.startswith(f"{CARD_A.name} follows with") for note in mining.notes)
    assert ai.question.startswith("Best at AI: gemm")
    assert ai.answer == CARD_A.name


def test_where_compare_cannot_tell_nobody_is_called_the_best(tmp_path):
    twin = replace(CARD_A, name="Example GPU T", uuid="GPU-t")
    _, (mining, *_) = found(tmp_path, [*run(CARD_A), *run(twin, seed=2)])
    assert mining.answer.startswith(("Cannot tell: ", "Same: "))


def test_one_card_is_not_the_best_of_one(tmp_path):
    _, given = found(tmp_path, run(CARD_A))
    assert [item.question for item in given] == ["Mining (sha256d)", "AI: gemm llama3-8b bf16 b1 s8192"]
    assert "71% of the card's stated peak." in given[1].notes


def test_money_and_the_asic_stand_with_the_answer_only_when_there_are_prices(tmp_path):
    _, without = found(tmp_path, run(CARD_A))
    assert not any("ASIC" in note for item in without for note in item.notes)
    _, given = found(tmp_path, run(CARD_A), money=True)
    assert any("S21-class ASIC): 57.14 GH/J" in note for note in given[0].notes)
    assert given[-1].question == "Mine, rent out or switch off?"
    assert given[-1].answer == "Cannot tell whether to rent out for AI or switch off"


def test_no_valid_figure_is_no_answer(tmp_path):
    records = [replace(record, valid=False, invalid_reasons="x") for record in run(CARD_A, workloads=(sha256d,))]
    assert found(tmp_path, records)[1] == []


def test_the_verdict_is_compares(tmp_path):
    records = [*run(CARD_A), *run(CARD_B, seed=2)]
    frame, _ = frame_of(tmp_path, records)
    verdicts = {
        item.key["device_name"]: item.verdict
        for item in compare.compare(frame, CARD_B.name).comparisons
        if item.metric == "work_per_j" and item.key["workload"] == "sha256d"
    }
    assert verdicts[CARD_A.name] == "worse"
