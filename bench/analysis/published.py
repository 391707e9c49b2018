"""Figures that others published, laid beside a result: labelled, with their source, and never in a statistic.

result = published.lay(result)                           # for the measured cards
result = published.lay(result, ["B200"])                 # and for others by name, or ["all"]
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.analysis.compare import Result
from bench.data import PACKAGE
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


_CARDS: Sequence[tuple[str, str]] = (
    (r"(?<!g)h100.*(hbm3|sxm)", "H100 SXM"),
    (r"h100.*pcie", "H100 PCIe"),
    (r"(?<!g)h200(?!.*nvl)", "H200 SXM"),
    (r"(?<!g)b200", "B200"),
    (r"a100.*sxm", "A100 SXM"),
    (r"a100.*pcie.*40\s*gb|a100.*40\s*gb.*pcie", "A100 PCIe 40GB"),
    (r"a100.*pcie", "A100 PCIe"),
    (r"v100.*sxm2", "V100 SXM2"),
    (r"mi300x", "MI300X"),
    (r"rtx 3090(?! ti)", "RTX 3090"),
    (r"rtx 4090(?!( d\b|.*laptop))", "RTX 4090"),
    (r"rtx 5090(?!( d\b|.*laptop))", "RTX 5090"),
    (r"\bl40s\b", "L40S"),
    (r"\bl4\b", "L4"),
    (r"\bt4\b", "T4"),
    (r"cmp 170hx", "CMP 170HX"),
    (r"mtt s4000", "MTT S4000"),
    (r"metax.*c500|mxc500", "MetaX C500"),
    (r"mlu370-x8", "MLU370-X8"),
)
"""How drivers name cards → how the published list does. H100 NVL, H200 NVL, RTX 4090 D and laptops are other cards."""

_ALSO = {"A100 PCIe 40GB": "A100 PCIe"}
"""The list has some figures under a wider name."""


def card_names(device_name: str) -> tuple[str, ...]:
    """The published list's names of a card by its driver's name, the closest first; empty if it has none.

    ``NVIDIA H100 80GB HBM3`` → ``("H100 SXM",)``
    """
    for pattern, card in _CARDS:
        if re.search(pattern, device_name, re.IGNORECASE):
            return (card, _ALSO[card]) if card in _ALSO else (card,)
    return ()


def path_of_list() -> Path:
    """``published.csv``: carried inside the wheel, else in the checkout.

    Raises:
        BenchError: neither is there.
    """
    for path in (PACKAGE / "_reference" / "published.csv", PACKAGE.parent / "results" / "reference" / "published.csv"):
        if path.is_file():
            return path
    raise BenchError("the published figures are not installed", "install bitwatt anew")


def figures(path: Path | None = None) -> list[Published]:
    """The published list, checked.

    Raises:
        BenchError: no such file, a missing column, or a value that is no number above 0, with the line.
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
        raise BenchError(f"cannot read {path} ({error.strerror})", "check the path and its rights") from error
    return found


_SCALE = {"GH/s": (1e9, "hash/s"), "TFLOP/s": (1e12, "FLOP/s"), "W": (1.0, "W"), "TB/s": (1e12, "B/s")}


def lay(result: Result, cards: Sequence[str] = (), path: Path | None = None) -> Result:
    """Lay published figures beside a result: for the measured cards, and for ``cards`` by name (``all``: every card).

    They carry the verdict ``published``, their source as ``reason``, no repeats, no interval and no ratio. A published
    FLOP rate stands beside ``gemm`` of the same type; a published single SHA-256 rate is not sha256d and keeps its own
    name in ``key["published_metric"]``.

    Raises:
        BenchError: a card that the list does not have.
    """
    listed = figures(path)
    known = list(dict.fromkeys(figure.card for figure in listed))
    wanted = [name for line in result.comparisons for name in card_names(str(line.key["device_name"]))]
    for card in cards:
        near = known if card == "all" else [name for name in known if card.casefold() in name.casefold()]
        if not near:
            raise BenchError(f"nothing is published here of a card {card!r}", f"choose from all, {', '.join(known)}")
        wanted += near
    dtypes = {line.key["dtype"] for line in result.comparisons if line.key["dtype"] is not None}
    laid = []
    for figure in listed:
        dtype = figure.metric.removesuffix("_dense") if figure.metric.endswith("_dense") else None
        if figure.card not in wanted or (dtype is not None and dtypes and dtype not in dtypes):
            continue
        scale, unit = _SCALE[figure.unit]
        workload = "transformer" if dtype else "sha256d" if figure.metric.startswith("sha256") else None
        laid.append(
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
    return replace(result, published=tuple(laid))
