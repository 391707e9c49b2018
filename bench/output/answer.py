"""What a card does, in a sentence: its hashrate and J/TH, a real model's tokens, and where the field stands.

The field is what others published: the ASIC of the price file that ships with bitwatt, and the rates of
``results/reference/published.csv``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from bench.model import Comparison
from bench.output.format import digits, quantity

if TYPE_CHECKING:
    from bench.analysis.compare import Result

Group = Mapping[str, Comparison]

TOY = "tiny"
"""The shape that is no real model."""

REAL = "llama3-8b"
"""The shape to name where no real model was measured."""

PHASES = ("decode", "prefill", "train")
"""Phases whose tokens are named, where they were measured."""

HOW_TO_GET_WATTS = (
    "No power was read, so J/TH and tokens/J are missing: `bitwatt devices` says why; name a power meter with --meter, "
    "or a constant power with --assume-watts."
)


def answer(result: Result) -> str:
    """One sentence, and a second one on what is missing; empty without a valid figure."""
    groups = [group for group in result.groups() if not all(one.verdict == "invalid" for one in group.values())]
    said = [part for part in (_mining(groups), _model(groups), _products(groups)) if part]
    if not said:
        return ""
    many = len(result.subjects)
    who = result.subjects[0] if many == 1 else f"The best of {many} (--by {result.by})"
    sentences = [f"{who}: {'; '.join(said)}."]
    if not any("work_per_j" in group for group in groups):
        sentences.append(HOW_TO_GET_WATTS)
    elif any(one.key.get("energy_source") == "assumed" for group in groups for one in group.values()):
        sentences.append("The watts are assumed, not measured.")
    return " ".join(sentences)


def _best(groups: Sequence[Group], metric: str, fits: Callable[[Comparison], bool]) -> Comparison | None:
    found = [one for group in groups if (one := group.get(metric)) is not None and one.value is not None and fits(one)]
    return max(found, key=lambda one: one.value or 0.0, default=None)


def _mining(groups: Sequence[Group]) -> str:
    def fits(one: Comparison) -> bool:
        return one.task.workload == "sha256d"

    from bench.analysis import economics

    fastest, thriftiest = _best(groups, "rate_per_s", fits), _best(groups, "work_per_j", fits)
    if fastest is None or not fastest.value:
        return ""
    text = f"sha256d at {quantity(fastest.value, fastest.unit)}"
    asic = economics.read_prices(economics.example_path()).asic
    if thriftiest is not None and thriftiest.value:
        j_per_th = 1e12 / thriftiest.value
        times = j_per_th / asic.j_per_th
        return f"{text} and {_count(j_per_th)} J/TH, {_count(times)} times the {asic.j_per_th:g} J/TH of an {asic.name}"
    times = asic.hash_th_per_s * 1e12 / fastest.value
    return f"{text}, where an {asic.name} does {asic.hash_th_per_s:g} TH/s, {_count(times)} times as much"


def _model(groups: Sequence[Group]) -> str:
    """Tokens of the real model that was measured, decode first."""
    said: list[str] = []
    any_transformer = False
    for phase in PHASES:
        speeds = [
            one
            for group in groups
            if (one := group.get("tokens_per_s")) is not None and one.value is not None and one.task.phase == phase
        ]
        any_transformer = any_transformer or bool(speeds)
        real = [one for one in speeds if one.task.shape != TOY and one.task.product is None]
        fastest = max(real, key=lambda one: one.value or 0.0, default=None)
        if fastest is None:
            continue
        task = fastest.task
        thrifty = _best(groups, "tokens_per_j", lambda one, task=task: one.task == task)  # type: ignore[misc]
        per_joule = f" and {quantity(thrifty.value, thrifty.unit)}" if thrifty is not None else ""
        batch = f"batch {task.batch}" if task.batch is not None else ""
        name = " ".join(filter(None, [phase, "" if said else task.shape, task.dtype, batch]))
        said.append(f"{name} at {quantity(fastest.value, fastest.unit)}{per_joule}")
    if not said and any_transformer:
        return f"no real model was measured (add --shape {REAL})"
    return ", ".join(said)


def _products(groups: Sequence[Group]) -> str:
    """The matrix rate of the fastest type that others published figures of, and the range of those."""
    from bench.analysis import published

    field: dict[str, list[published.Published]] = {}
    for figure in published.figures():
        if figure.kind == "measured" and figure.metric.endswith("_dense") and figure.unit == "TFLOP/s":
            field.setdefault(figure.metric.removesuffix("_dense"), []).append(figure)
    best = _best(groups, "rate_per_s", lambda one: one.task.phase == "gemm" and one.task.dtype in field)
    if best is None:
        return ""
    low, high = (choose(field[str(best.task.dtype)], key=lambda one: one.value) for choose in (min, max))
    bounds = [f"{quantity(one.value * 1e12, 'FLOP/s', 3)} ({one.card})" for one in (low, high)]
    return (
        f"{best.task.dtype} products at {quantity(best.value, best.unit)}, where published cards reach "
        f"{bounds[0]} to {bounds[1]}"
    )


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else digits(value, 3)
