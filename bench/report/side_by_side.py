"""What the page needs to show any two cards side by side, and what a power budget buys: plain data for its script.

Ratios and verdicts are :mod:`bench.analysis.compare`'s, one comparison per card as the baseline. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis.compare import Result, compare
from bench.analysis.metrics import METRICS
from bench.model import Comparison
from bench.output.format import MISSING, digits, figures
from bench.report.answers import ai_tasks, leaders
from bench.report.entries import Entry, interval_text, task_label
from bench.report.pick import tasks
from bench.report.settings import column_title

if TYPE_CHECKING:
    import pandas as pd

MOST_CARDS = 12
"""With more, only the page's own baseline and the leading tasks have ratios: pairs grow with the square."""


def side_by_side(frame: pd.DataFrame, result: Result, entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Cards, and for each pair the settings that differ and the figures with their ratio; None with one card."""
    cards = list(dict.fromkeys(entry.card for entry in entries))
    if len(cards) < 2:
        return None
    many = len(cards) > MOST_CARDS
    names = list(dict.fromkeys(entry.task for entry in entries))
    if many:
        names = [*tasks(entries, "hash", "rate_per_s")[:2], *ai_tasks(entries)]
    pairs: dict[str, Any] = {}
    for baseline in [name for name in cards if name == result.baseline] if many else cards:
        is_its_own = baseline == result.baseline and result.subject == "device_name"
        against = result if is_its_own else compare(frame, baseline)
        for card in cards:
            if card != baseline:
                pairs[f"{cards.index(baseline)}-{cards.index(card)}"] = {
                    "settings": _settings(against, card),
                    "rows": _rows(against, baseline, card, names),
                }
    return {
        "cards": cards,
        "only": str(result.baseline) if many else "",
        "tasks": names,
        "headings": {name: metric.heading for name, metric in METRICS.items()},
        "pairs": pairs,
    }


def _settings(against: Result, card: str) -> list[list[str]]:
    """Name, the baseline's values and the card's, of each setting that differs or that one side does not know."""
    return [
        [column_title(item.column), *(", ".join(map(_text, values)) for values in (item.baseline, item.here))]
        for item in against.differences
        if item.subject == card
    ]


def _text(value: object) -> str:
    if value is None:
        return "unknown"
    return figures(value) if isinstance(value, float) else str(value)


def _rows(against: Result, baseline: str, card: str, names: Sequence[str]) -> list[list[Any]]:
    """Task number, metric, role of the setting, both figures, ratio, its bounds, verdict, reason."""
    base = _by_role(against, baseline, names)
    here = _by_role(against, card, names)
    rows: list[list[Any]] = []
    for task, metric, role in dict.fromkeys((*base, *here)):
        item = here.get((task, metric, role))
        if item is None and role != "stock":
            continue
        # compare sets the best setting of one card against the other's stock setting where that is all there is
        roles = ("stock", "best") if role == "stock" else ("best", "stock")
        other = next((found for name in roles if (found := base.get((task, metric, name)))), None)
        texts = [MISSING if found is None else interval_text(found) for found in (other, item)]
        rows.append([names.index(task), metric, role, *texts, *_ratio(item)])
    return rows


def _by_role(against: Result, card: str, names: Sequence[str]) -> dict[tuple[str, str, str], Comparison]:
    found: dict[tuple[str, str, str], Comparison] = {}
    for item in against.comparisons:
        task = task_label(item.key)
        if item.key["device_name"] == card and task in names and item.value is not None and item.role != "other":
            key = (task, item.metric, item.role or "stock")
            # of several results of one setting (a smoke run and a standard one), one with a ratio says the most
            if key not in found or (found[key].ratio is None and item.ratio is not None):
                found[key] = item
    return found


def _ratio(item: Comparison | None) -> list[Any]:
    """Ratio and its bounds as text, verdict and reason."""
    if item is None:
        return ["", "", "no valid figure"]
    if item.ratio is None:
        return ["", item.verdict, item.reason or ""]
    bounds = ""
    if item.ratio_low is not None and item.ratio_high is not None:
        bounds = f" [{digits(item.ratio_low)}, {digits(item.ratio_high)}]"
    return [f"{digits(item.ratio)}×{bounds}", item.verdict, item.reason or ""]


def budget(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Goals that a power budget can serve, each with the cards' rate and power at their most efficient setting."""
    goals = []
    for unit, per_joule, rate, wanted in (
        ("hash", "work_per_j", "rate_per_s", tasks(entries, "hash", "work_per_j")[:2]),
        ("FLOP", "tokens_per_j", "tokens_per_s", ai_tasks(entries)),
    ):
        for task in wanted:
            cards = [
                {
                    "name": entry.card,
                    "setting": entry.setting,
                    "rate": entry.metrics[rate].value,
                    "watts": entry.metrics["power_mean_w"].value,
                }
                for entry in leaders(entries, task, per_joule)
                if entry.figure(rate) is not None and entry.figure("power_mean_w") is not None
            ]
            if cards:
                goals.append({"task": task, "unit": "H/s" if unit == "hash" else "tokens/s", "cards": cards})
    return {"goals": goals} if goals else None
