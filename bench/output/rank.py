"""Where a card stands among the cards of its model, as a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.output.document import Document, Grid
from bench.output.format import MISSING, quantity

if TYPE_CHECKING:
    from bench.analysis.rank import Standing


def rank(found: Sequence[Standing]) -> Document:
    """One line per card, task and figure: its value, the median of its model, and its percentile."""
    cells = tuple(
        (
            item.card,
            item.model,
            item.task,
            item.heading,
            quantity(item.value, item.unit),
            quantity(item.median, item.unit),
            percentile(item),
        )
        for item in found
    )
    header = ("card", "model", "workload", "figure", "value", "median", "percentile")
    return Document(
        (Grid(header, cells, frozenset({4, 5}), drop=(0,)),),
        [asdict(item) for item in found],
        notes=(
            "A percentile is the share of the model's cards that are worse, or that draw less power; "
            "brackets hold those of the ends of the card's own 95% interval.",
        ),
        lead=tuple(dict.fromkeys(_sentence(item) for item in found if item.figure == "rate_per_s")),
    )


def percentile(item: Standing) -> str:
    """``p12 of 240 [9, 16]``, or why there is none."""
    if item.percentile is None:
        return f"{MISSING} ({item.reason})"
    text = f"p{item.percentile:.0f} of {item.cards}"
    return text if item.low is None or item.high is None else f"{text} [{item.low:.0f}, {item.high:.0f}]"


def _sentence(item: Standing) -> str:
    if item.percentile is None:
        return f"{item.model}, {item.task}: not ranked, {item.reason} in the reference."
    return f"This {item.model} is at {percentile(item)} in the rate of {item.task}."
