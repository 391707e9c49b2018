"""Text from outside becomes harmless: one line, nothing that a terminal acts on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.model.text import clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"),
        (" box\t", "box"),
        ("a\r\nb", "a  b"),
        ("a\xa0b", "a b"),
        ("\x1b[2J\x1b]52;c;aGk=\x07", r"\x1b[2J\x1b]52;c;aGk=\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("user\u202egpj", r"user\u202egpj"),
        ("\ud800", r"\ud800"),
        ("5 °C – 東京", "5 °C – 東京"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text())
def test_cleaning_is_final(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert once.isprintable()
    once.encode("utf-8")
