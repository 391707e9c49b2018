"""The sentence that ends a run: figures, the published field, what is missing and how to get it."""

from __future__ import annotations

from dataclasses import replace

from bench import output
from bench.model import Record
from tests.support import factory

A = factory.CARD_A


def ending(records: list[Record]) -> str:
    return output.run(records).conclusion


def decode(record: Record) -> Record:
    return replace(record, phase="decode", batch=64, seq=2048)


def exact(**changes: object) -> list[Record]:
    records = [factory.sha256d(), factory.gemm(), decode(factory.gemm())]
    return [replace(record, **changes) for record in records]


def test_a_metered_run_ends_with_joules_and_the_field() -> None:
    assert ending(exact()) == (
        "Example GPU A: sha256d at 8.000 GH/s and 80,000 J/TH, 4,571 times the 17.5 J/TH of an S21-class ASIC; "
        "decode llama3-8b bf16 batch 64 at 46670 tokens/s and 68.63 tokens/J; bf16 products at 700.0 TFLOP/s, where "
        "published cards reach 2.50 TFLOP/s (T4) to 1.75 PFLOP/s (B200)."
    )


def test_without_watts_it_says_what_is_missing_and_how_to_get_it() -> None:
    text = ending([factory.sha256d(metered=False)])
    assert text.startswith("Example GPU A: sha256d at 8.000 GH/s, where an S21-class ASIC does 200 TH/s, 25,000 times")
    assert text.endswith(
        "No power was read, so J/TH and tokens/J are missing: `bitwatt devices` says why; name a power meter with "
        "--meter, or a constant power with --assume-watts."
    )


def test_a_toy_is_no_real_model() -> None:
    toy = [replace(decode(factory.gemm()), shape="tiny")]
    assert "no real model was measured (add --shape llama3-8b)" in ending([factory.sha256d(), *toy])
    assert "no real model" not in ending([factory.sha256d()]), "where no model was asked for, none is missing"


def test_invalid_windows_are_no_answer() -> None:
    lost = [factory.invalid(record) for record in exact()]
    assert ending(lost) == ""
    assert ending([]) == ""


def test_assumed_watts_are_called_so() -> None:
    assert ending(exact(energy_method="assumed")).endswith("The watts are assumed, not measured.")


def test_several_cards_name_the_best() -> None:
    twin = [replace(record, device_uuid="GPU-twin", rate_per_s=record.rate_per_s * 2) for record in exact()]
    text = ending([*exact(), *twin])
    assert text.startswith("The best of 2 (--by device): sha256d at 16.00 GH/s")
