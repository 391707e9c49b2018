"""The document's table is what the code gives, and the sensor table is sound."""

from __future__ import annotations

import pytest

from bench.data import cards
from tests.support.sensor_table import BEGIN, DOCUMENT, END, table, written


def test_the_table_in_the_document_is_current() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert written(text, table()) == text, "run python -m tests.support.sensor_table --write"


@pytest.mark.parametrize(
    ("card", "family"),
    [
        ("NVIDIA A100-SXM4-80GB", "GA100"),
        ("NVIDIA H100 80GB HBM3", "Hopper"),
        ("NVIDIA H200", "Hopper"),
        ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090"),
        ("NVIDIA GeForce RTX 4090 D", "GeForce RTX 4090"),
        ("NVIDIA GeForce RTX 3090 Ti", "Ampere and Ada"),
        ("NVIDIA RTX 6000 Ada Generation", "Ampere and Ada"),
        ("NVIDIA RTX A6000", "Ampere and Ada"),
        ("NVIDIA L40S", "Ampere and Ada"),
        ("Quadro RTX 6000", "Turing"),
        ("Tesla T4", "Turing"),
        ("Tesla V100-SXM2-16GB", "Volta and Pascal"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "Blackwell"),
        ("NVIDIA GeForce RTX 5090", "Blackwell"),
        ("NVIDIA Something New", "unknown"),
    ],
)
def test_every_card_finds_its_family(card: str, family: str) -> None:
    found = cards.sensor(card)
    assert found.family == family
    assert found.source
    assert found.duty is not None
    assert 0 < found.duty <= 1
    assert found.gain_uncertainty is not None
    assert found.offset_uncertainty_w is not None
