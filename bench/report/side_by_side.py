"""What the page needs to show any two cards side by side, and what a power budget buys: plain data for its script.

Ratios and verdicts are :mod:`bench.analysis.compare`'s, one comparison per card as the baseline. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis.compare import Result, compare
from bench.analysis.metrics import METRICS
from bench.model import Comparison
from bench.output.format import figures
from bench.report.answers import ai_tasks, leaders
from bench.report.entries import Entry, interval_text, task_label
from bench.report.pick import tasks
from bench.report.settings import column_title

if TYPE_CHECKING:
    import pandas as pd

MOST_CARDS = 12
"""With more, only the page's own baseline and the leading tasks have ratios: pairs grow with the square."""

_SETTINGS = ("power_limit_w", "sm_clock_lock_mhz", "energy_scope", "energy_source", "mode", "ecc", "mig", "driver")
_MORE_SETTINGS = ("runtime", "torch", "implementation", "precision", "options", "harness_version", "device_arch")


def side_by_side(frame: pd.DataFrame, result: Result, entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Cards, their settings, and each pair's figures with compare's ratio; None with fewer than two cards."""
    cards = list(dict.fromkeys(entry.card for entry in entries))
    if len(cards) < 2:
        return None
    baselines = cards if len(cards) <= MOST_CARDS else [name for name in cards if name == result.baseline]
    found: dict[str, dict[str, list[Any]]] = {}
    names = list(dict.fromkeys(entry.task for entry in entries))
    if len(cards) > MOST_CARDS:
        names = [*tasks(entries, "hash", "rate_per_s")[:2], *ai_tasks(entries)]
    for baseline in baselines:
        against = result if baseline == result.baseline and result.subject == "device_name" else _alone(frame, baseline)
        for item in against.comparisons:
            if item.key["device_name"] == baseline or item.verdict == "baseline":
                continue
            task = task_label(item.key)
            if task in names and item.value is not None:
                pair = f"{cards.index(baseline)}-{cards.index(str(item.key['device_name']))}"
                row = [names.index(task), item.metric, *_ratio(item)]
                best = found.setdefault(pair, {}).setdefault(f"{task} {item.metric}", row)
                # where a card has several settings, one that could be compared says more than one that could not
                if best[2] is None and row[2] is not None:
                    found[pair][f"{task} {item.metric}"] = row
    return {
        "cards": cards,
        "only": "" if len(cards) <= MOST_CARDS else str(result.baseline),
        "tasks": names,
        "headings": {name: metric.heading for name, metric in METRICS.items()},
        "figures": [_figures(entries, card, names) for card in cards],
        "settings": [_settings(entries, card) for card in cards],
        "pairs": {pair: list(rows.values()) for pair, rows in found.items()},
    }


def _alone(frame: pd.DataFrame, baseline: str) -> Result:
    return compare(frame, baseline)


def _ratio(item: Comparison) -> list[Any]:
    """Ratio, its bounds as text, verdict and reason."""
    if item.ratio is None:
        return [None, "", item.verdict, item.reason or ""]
    bounds = ""
    if item.ratio_low is not None and item.ratio_high is not None:
        bounds = f"[{figures(item.ratio_low)}, {figures(item.ratio_high)}]"
    return [float(figures(item.ratio)), bounds, item.verdict, item.reason or ""]


def _figures(entries: Sequence[Entry], card: str, names: Sequence[str]) -> dict[str, str]:
    """``task number metric`` → the figure at the card's best setting of the task, as text."""
    own = [entry for entry in entries if entry.card == card and entry.task in names]
    found = {}
    for number, task in enumerate(names):
        for metric in METRICS:
            best = next(iter(leaders([entry for entry in own if entry.task == task], task, metric)), None)
            if best is not None:
                found[f"{number} {metric}"] = interval_text(best.metrics[metric])
    return found


def _settings(entries: Sequence[Entry], card: str) -> Mapping[str, str]:
    """Key column → its values over the card's results."""
    found = {}
    for name in (*_SETTINGS, *_MORE_SETTINGS):
        values = dict.fromkeys(entry.key.get(name) for entry in entries if entry.card == card)
        texts = [figures(value) if isinstance(value, float) else str(value) for value in values if value is not None]
        if texts:
            found[column_title(name)] = ", ".join(texts[:4]) + (" …" if len(texts) > 4 else "")
    return found


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
