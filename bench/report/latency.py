"""Decode over batches: what one user sees against what the card delivers, and blocks against layers run. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.model import Comparison
from bench.output.format import figures
from bench.report.entries import Entry, best, interval_text
from bench.report.figure import DASHES, WHISKERS, Figure, View, axis, error, marker
from bench.report.language import N_, _, joined
from bench.report.section import Block, Content, Section, Study
from bench.report.table import Row, Table

_LAYERS = re.compile(r"\s*\blayers=(\d+)")


@dataclass(frozen=True, slots=True)
class Step:
    """A step of decode at one batch: every user of the batch gets one token of the whole model."""

    batch: int
    tokens_per_s: Comparison

    @property
    def tokens_per_s_per_user(self) -> float:
        return (self.tokens_per_s.value or 0.0) / self.batch

    @property
    def seconds_per_token(self) -> float:
        """Time from one token of a user to the next."""
        return 1 / self.tokens_per_s_per_user


def steps(entries: Sequence[Entry]) -> dict[tuple[int, str, str], list[Step]]:
    """(series, card, model and setting) → its steps by batch, where decode was measured at two batches or more."""
    found: dict[tuple[int, str, str], dict[int, list[Entry]]] = {}
    for entry in entries:
        key = entry.key
        if key["phase"] == "decode" and key["batch"] and entry.figure("tokens_per_s") is not None:
            # The layers that ran distinguish two curves, the batch does not.
            ran = _LAYERS.search(str(key["options"] or ""))
            name = f"{key['shape']} {key['dtype']} s{key['seq']}" + (ran[0] if ran else "")
            found.setdefault((entry.series, entry.card, name), {}).setdefault(int(key["batch"]), []).append(entry)
    curves = {}
    for where, batches in found.items():
        chosen = [(batch, best(own, "tokens_per_s")) for batch, own in sorted(batches.items())]
        points = [
            Step(batch, figure)
            for batch, entry in chosen
            if entry is not None and (figure := entry.figure("tokens_per_s")) is not None and figure.value
        ]
        if len(points) > 1:
            curves[where] = points
    return curves


def draw(entries: Sequence[Entry]) -> Figure | None:
    """Tokens/s of the card over tokens/s of each user, one curve a card and model, one point a batch."""
    curves = steps(entries)
    if not curves:
        return None
    data: list[dict[str, Any]] = []
    for number, ((series, card, name), points) in enumerate(curves.items()):
        data.append(
            {
                "series": series,
                "mode": "lines+markers",
                "name": f"{card}: {name}",
                "x": [point.tokens_per_s_per_user for point in points],
                "y": [point.tokens_per_s.value for point in points],
                "line": {"dash": DASHES[number % len(DASHES)], "width": 2},
                "marker": marker(number, size=9),
                "error_y": error([point.tokens_per_s for point in points], 1),
                "hover": [
                    f"{card}: {name}\n"
                    + _(
                        "batch {batch}: {milliseconds} ms per token",
                        batch=point.batch,
                        milliseconds=figures(1000 * point.seconds_per_token),
                    )
                    + f"\n{interval_text(point.tokens_per_s)}"
                    for point in points
                ],
            }
        )
    layout = {
        "xaxis": axis(_("Tokens/s of each user (modelled)")),
        "yaxis": axis(_("Tokens/s of the card (modelled)")),
        "showlegend": True,
    }
    note = joined(
        _(
            "Each point is one batch: to the right a user waits less for each token, upwards the card serves more "
            "tokens. Times are those of the model's layers and LM head on one card, without sampling, network or "
            "a queue."
        ),
        _(WHISKERS),
    )
    return Figure("latency", _("Decode: each user's tokens/s against the card's"), note, [View("", data, layout)])


def _steps_table(entries: Sequence[Entry]) -> Table:
    header = (
        _("Card"),
        _("Model and setting"),
        _("Batch"),
        _("ms per token"),
        _("tokens/s per user"),
        _("tokens/s of the card"),
    )
    rows = [
        Row(
            (
                card,
                name,
                str(point.batch),
                figures(1000 * point.seconds_per_token),
                figures(point.tokens_per_s_per_user),
                interval_text(point.tokens_per_s),
            )
        )
        for (_series, card, name), points in steps(entries).items()
        for point in points
    ]
    return Table(_("Time per token by batch (modelled)"), header, rows, numeric={2, 3, 4, 5})


def _layers_table(entries: Sequence[Entry]) -> Table | None:
    """Tokens/s from N layers that were run against those from one block of each kind, where both were measured."""
    blocks: dict[tuple[str, str, str], Entry] = {}
    chains: list[tuple[int, tuple[str, str, str], Entry]] = []
    for entry in entries:
        if entry.key["phase"] not in ("prefill", "decode") or entry.figure("tokens_per_s") is None:
            continue
        options = str(entry.key["options"] or "")
        ran = _LAYERS.search(options)
        # A mode in which blocks and layers differ in nothing else.
        where = (entry.card, entry.task, _LAYERS.sub("", options))
        if ran is None or ran[1] == "1":
            blocks.setdefault(where, entry)
        else:
            chains.append((int(ran[1]), where, entry))
    rows = []
    for layers, where, entry in chains:
        one, many = blocks.get(where), entry.metrics["tokens_per_s"]
        if one is None or not one.metrics["tokens_per_s"].value or not many.value:
            continue
        modelled = one.metrics["tokens_per_s"]
        difference = 100 * (many.value / (modelled.value or 1.0) - 1)
        rows.append(
            Row(
                (
                    entry.card,
                    entry.task,
                    str(layers),
                    interval_text(many),
                    interval_text(modelled),
                    f"{difference:+.1f}%",
                )
            )
        )
    if not rows:
        return None
    header = (_("Card"), _("Task"), _("Layers run"), _("From these layers"), _("From one block"), _("Difference"))
    return Table(_("Whole-model tokens/s from layers that ran and from one block"), header, rows, numeric={2, 3, 4, 5})


def _build(study: Study) -> Content | None:
    blocks: list[Block] = []
    if (figure := draw(study.entries)) is not None:
        blocks += [figure, _steps_table(study.entries)]
    if (layers := _layers_table(study.entries)) is not None:
        blocks.append(layers)
    return Content(blocks) if blocks else None


SECTION = Section("latency", N_("Decode latency"), N_("Decode latency"), _build)
