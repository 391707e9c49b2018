"""Figures that others published, added to a result: labelled, with their source, and never in a statistic.

result = with_published(result)                           # for the measured cards
result = with_published(result, ["B200"])                 # and for others by name, or ["all"]
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.analysis.compare import Result
from bench.data import PACKAGE
from bench.data.cards import find, words
from bench.model import BenchError, Comparison


@dataclass(frozen=True, slots=True)
class Published:
    """A figure that somebody else published."""

    card: str
    metric: str
    kind: str
    """``measured``, ``peak`` or ``limit``."""
    value: float
    unit: str
    source: str
    note: str | None = None


def path_of_list() -> Path:
    """``published.csv``: carried inside the wheel, else in the checkout.

    Raises:
        BenchError: neither is there.
    """
    for path in (PACKAGE / "_reference" / "published.csv", PACKAGE.parent / "results" / "reference" / "published.csv"):
        if path.is_file():
            return path
    raise BenchError("the published figures are not installed", "reinstall bitwatt")


def figures(path: Path | None = None) -> list[Published]:
    """The published list, checked.

    Raises:
        BenchError: no such file, a missing column, or a value that is not a number above 0, with the line.
    """
    path = path or path_of_list()
    found = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for line, row in enumerate(csv.DictReader(stream), 2):
                try:
                    figure = Published(
                        card=row["card"],
                        metric=row["metric"],
                        kind=row["kind"],
                        value=float(row["value"]),
                        unit=row["unit"],
                        source=row["source"],
                        note=row["note"] or None,
                    )
                except (KeyError, TypeError, ValueError) as error:
                    raise BenchError(f"{path}, line {line}: {error!r}", "correct the row or restore the file") from None
                sound = math.isfinite(figure.value) and figure.value > 0 and figure.source and figure.card
                if not sound or figure.kind not in ("measured", "peak", "limit"):
                    raise BenchError(
                        f"{path}, line {line}: not a figure with a card, a kind and a source", "correct the row"
                    )
                found.append(figure)
    except OSError as error:
        raise BenchError(f"cannot read {path} ({error.strerror})", "check the path and its permissions") from error
    return found


_SCALE = {"GH/s": (1e9, "hash/s"), "TFLOP/s": (1e12, "FLOP/s"), "W": (1.0, "W"), "TB/s": (1e12, "B/s")}


def with_published(result: Result, cards: Sequence[str] = (), path: Path | None = None) -> Result:
    """A result with published figures: for the measured cards, and for ``cards`` by name (``all``: every card).

    They carry the verdict ``published``, their source as ``reason``, no repeats, no interval and no ratio. A published
    FLOP rate is listed with ``gemm`` of the same type; a published single SHA-256 rate is not sha256d and keeps its own
    name in ``key["published_metric"]``.

    Raises:
        BenchError: a card that the list does not have.
    """
    listed = figures(path)
    known = list(dict.fromkeys(figure.card for figure in listed))
    measured = (find(str(item.key["device_name"])) for item in result.comparisons)
    wanted = [name for card in measured if card for name in card.names]
    for card in cards:
        near = known if card == "all" else [name for name in known if words(card) <= words(name)]
        if not near:
            raise BenchError(
                f"there are no published figures for a card {card!r}", f"choose from all, {', '.join(known)}"
            )
        wanted += near
    dtypes = {item.key["dtype"] for item in result.comparisons if item.key["dtype"] is not None}
    added = []
    for figure in listed:
        dtype = figure.metric.removesuffix("_dense") if figure.metric.endswith("_dense") else None
        if figure.card not in wanted or (dtype is not None and dtypes and dtype not in dtypes):
            continue
        scale, unit = _SCALE[figure.unit]
        workload = "transformer" if dtype else "sha256d" if figure.metric.startswith("sha256") else None
        added.append(
            Comparison(
                key={
                    "device_name": figure.card,
                    "workload": workload,
                    "phase": "gemm" if dtype else None,
                    "dtype": dtype,
                    "published_metric": figure.metric,
                    "published_kind": figure.kind,
                },
                metric="rate_per_s" if unit.endswith("/s") and workload else figure.metric,
                unit=unit,
                repeats=0,
                value=figure.value * scale,
                low=None,
                high=None,
                verdict="published",
                reason="; ".join(part for part in (figure.source, figure.note) if part),
            )
        )
    return replace(result, published=tuple(added))
