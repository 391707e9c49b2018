"""What the page needs to show any two cards side by side: plain data for its script.

Ratios and verdicts are :mod:`bench.analysis.compare`'s, one comparison per card as the baseline. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis.compare import Result, compare
from bench.analysis.metrics import METRICS
from bench.model import Comparison
from bench.output.format import MISSING, digits, figures
from bench.report.answers import ai_tasks
from bench.report.entries import Entry, interval_text, task_label, tasks
from bench.report.language import N_, _, phrase
from bench.report.section import Content, Section, Study
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
                    "settings": setting_rows(against, card),
                    "rows": figure_rows(against, baseline, card, names),
                }
    return {
        "cards": cards,
        "only": str(result.baseline) if many else "",
        "tasks": names,
        "headings": {name: _(metric.heading) for name, metric in METRICS.items()},
        "pairs": pairs,
    }


def setting_rows(against: Result, card: str) -> list[list[str]]:
    """Name, the baseline's values and the card's, of each setting that differs or that one side does not know."""
    return [
        [column_title(item.column), *(", ".join(map(_text, values)) for values in (item.baseline, item.here))]
        for item in against.differences
        if item.subject == card
    ]


def _text(value: object) -> str:
    if value is None:
        return _("unknown")
    return figures(value) if isinstance(value, float) else str(value)


def figure_rows(against: Result, baseline: str, card: str, names: Sequence[str]) -> list[list[Any]]:
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
        rows.append([names.index(task), metric, _(role), *texts, *_ratio(item)])
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
        return ["", "", _("no valid figure")]
    reason = phrase(item.reason or "")
    if item.ratio is None:
        return ["", _(item.verdict), reason]
    bounds = ""
    if item.ratio_low is not None and item.ratio_high is not None:
        bounds = f" [{digits(item.ratio_low)}, {digits(item.ratio_high)}]"
    return [f"{digits(item.ratio)}×{bounds}", _(item.verdict), reason]


def _build(study: Study) -> Content | None:
    found = side_by_side(study.frame, study.result, study.entries)
    return None if found is None else Content(values=found["only"], data={"compare": found})


SECTION = Section(
    "compare",
    N_("Side by side"),
    N_("Two cards side by side"),
    _build,
    template="compare.html",
    script="compare.js",
    needs_script=True,
)
